"""Taking a cheaper plan, which begins with the next period, if what is used fits then."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import AuditEntry, Customer, User
from billing import entitlements, screening
from billing.entitlements import Feature, limit, limit_of_each
from billing.models import Invoice, Order, Plan, PlanChange, Renewal, Subscription
from billing.models.sale import EDITIONS
from tests.billing.conftest import fresh
from tests.billing.coupons import coupon
from tests.billing.renewed import BEGAN, NEXT, begin, live, newest, on_day, pay, sweep
from tests.billing.stripe_desk import mails

AsPerson = Callable[[User], Client]
BILLING = "/c/annaexampl/billing/"
KEEP, TO = f"{BILLING}plan/keep/", f"{BILLING}plan/to/10gb/"


def day(number: int) -> date:
    return NEXT + timedelta(days=number)


@pytest.fixture
def service(ordered: Callable[..., Order], alice: User, sam: User, settings: Any) -> Subscription:
    """25 GB a year for 99.00 USD."""
    settings.FRAUDRECORD_API_KEY = ""
    order = ordered(plan="25gb")
    screening.check_order(order.pk)
    fresh(order).approve("", by=sam)
    return begin(fresh(order), on=BEGAN, by=sam)


def again(service: Subscription) -> Subscription:
    return Subscription.objects.get(pk=service.pk)


def plan_it(service: Subscription, by: User) -> PlanChange:
    with on_day(day(-30)):
        version = Plan.objects.get(slug="10gb").present_version()
        assert again(service).change_plan(version, total_minor=0, by=by)
    return PlanChange.objects.get(ended_at=None)


def use(customer: Customer, gigabytes: int, on: date) -> None:
    with on_day(on):
        moment = Subscription.objects.get(customer=customer).started_at
        assert entitlements.report_usage(customer, gigabytes << 30, moment)


class TestWorks:
    def test_it_begins_with_the_next_period(
        self, service: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
    ) -> None:
        with on_day(day(-30)):
            page = as_(alice).get(TO).content.decode()
            assert 'data-amount="0.00"' in page
            assert "goes on as paid until 15 March 2028, and changes on that day" in page
            answer = as_(alice).post(TO, {"total_minor": 0})
            assert (answer.status_code, answer["Location"]) == (302, BILLING)
            (told,) = mails("plan.change_planned")
            assert told.subject == "Your plan changes to 10 GB on 15 March 2028"
            page = as_(alice).get(BILLING).content.decode()
            assert 'data-planned="10gb"' in page
            assert "for 59.00 USD" in page
        live(anna, day(-8), day(-3))
        assert (newest(anna).amount_minor, newest(anna).plan.slug) == (5900, "10gb")
        with on_day(day(-3)):
            pay(newest(anna), by=sam)
        live(anna, day(-3), day(-1))
        assert limit_of_each([anna.pk], Feature.STORAGE_MB) == {anna.pk: 25600}
        held = entitlements.storage(anna)
        assert held
        assert held.limit == 25600 << 20
        assert limit(anna, Feature.STORAGE_MB) == 10240  # what is added now must fit then
        live(anna, day(0), day(0))
        assert limit(anna, Feature.STORAGE_MB) == 10240
        assert (again(service).amount_minor, again(service).plan.slug) == (5900, "10gb")
        with on_day(day(0), 13):
            (told,) = mails("plan.changed")
        assert "has 10 GB from now on" in told.body
        assert PlanChange.objects.get().outcome == "taken"

    def test_with_a_coupon_page_and_mail_say_what_it_costs(
        self, service: Subscription, alice: User, as_: AsPerson
    ) -> None:
        coupon("ALWAYS-20", periods=None)
        with on_day(day(-30)):
            again(service).use_coupon("ALWAYS-20", by=alice)
            page = " ".join(as_(alice).get(TO).content.decode().split())
            assert "<strong>47.20 USD</strong>, yearly, in place of 79.20 USD." in page
            as_(alice).post(TO, {"total_minor": 0})
            (told,) = mails("plan.change_planned")
            assert "costs 47.20 USD, without tax" in told.body
            assert "It changes to 10 GB, 47.20 USD, on" in as_(alice).get(BILLING).content.decode()

    def test_it_begins_on_its_day_where_nothing_is_paid(
        self, service: Subscription, anna: Customer, alice: User
    ) -> None:
        plan_it(service, alice)
        live(anna, day(-8), day(0))
        assert limit(anna, Feature.STORAGE_MB) == 10240
        assert newest(anna).is_open

    def test_it_is_withdrawn(self, service: Subscription, anna: Customer, alice: User, as_: AsPerson) -> None:
        plan_it(service, alice)
        live(anna, day(-8), day(-3))
        with on_day(day(-3)):
            as_(alice).post(KEEP)
            sweep(anna)
        assert PlanChange.objects.get().outcome == "withdrawn"
        assert (newest(anna).amount_minor, newest(anna).plan.slug) == (9900, "25gb")
        assert Renewal.objects.filter(taken_back_at=None).count() == 1

    def test_what_was_announced_is_issued_anew(
        self, service: Subscription, anna: Customer, alice: User
    ) -> None:
        live(anna, day(-8), day(-3))
        with on_day(day(-3)):
            again(service).change_plan(
                Plan.objects.get(slug="10gb").present_version(), total_minor=0, by=alice
            )
            sweep(anna)
        assert newest(anna).amount_minor == 5900
        assert Invoice.objects.filter(corrects__renewal__amount_minor=9900).count() == 1


def test_a_stranger_gets_404(service: Subscription, mallory: User, as_: AsPerson) -> None:
    assert as_(mallory).post(TO, {"total_minor": 0}).status_code == 404
    assert not PlanChange.objects.exists()


def test_a_reader_gets_403(service: Subscription, anna: Customer, bob: User, as_: AsPerson) -> None:
    anna.add_member(bob, "reader", by=None)
    assert as_(bob).post(TO, {"total_minor": 0}).status_code == 403
    assert as_(bob).post(KEEP).status_code == 403
    assert not PlanChange.objects.exists()


def test_twice_is_harmless(service: Subscription, alice: User, as_: AsPerson) -> None:
    with on_day(day(-30)):
        for _ in range(2):
            assert as_(alice).post(TO, {"total_minor": 0}).status_code == 302
    assert PlanChange.objects.count() == 1
    assert AuditEntry.objects.filter(action="subscription.downgrade").count() == 1


def test_another_is_refused_while_one_is_planned(service: Subscription, alice: User, as_: AsPerson) -> None:
    plan_it(service, alice)
    with on_day(day(-30)):
        page = as_(alice).post(f"{BILLING}plan/to/50gb/", {"total_minor": 1})
    assert page.status_code == 422
    assert "A change to 10 GB is planned." in page.content.decode()


def test_it_is_refused_while_what_is_used_does_not_fit(
    service: Subscription, anna: Customer, alice: User, as_: AsPerson
) -> None:
    use(anna, 11, day(-30))
    with on_day(day(-30)):
        answer = as_(alice).post(TO, {"total_minor": 0})
    assert answer.status_code == 422
    assert "10 GB is too small for what you use. It holds 10.0\xa0GB, and 11.0\xa0GB are used." in (
        answer.content.decode()
    )
    assert not PlanChange.objects.exists()


def test_it_is_dropped_where_it_does_not_fit_any_more(
    service: Subscription, anna: Customer, alice: User
) -> None:
    plan_it(service, alice)
    use(anna, 11, day(-20))
    live(anna, day(-7), day(-7))
    assert newest(anna).amount_minor == 9900
    with on_day(day(-7), 13):
        (told,) = mails("plan.change_dropped")
        assert not mails("plan.change_planned")
    assert told.subject == "You keep 25 GB: 10 GB is too small"
    assert "11.0\xa0GB are used" in told.body
    live(anna, day(-6), day(0))
    assert limit(anna, Feature.STORAGE_MB) == 25600


def test_what_is_paid_with_it_is_kept_with_it(
    service: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
) -> None:
    plan_it(service, alice)
    live(anna, day(-8), day(-3))
    pay(newest(anna), by=sam)
    with on_day(day(-3)):
        page = as_(alice).post(KEEP, follow=True).content.decode()
        assert "The period from 15 March 2028 on is sold with 10 GB already." in page
        with pytest.raises(ValidationError):
            again(service).keep_plan(by=alice)
    assert not PlanChange.objects.get().ended_at


@pytest.mark.parametrize("late", [0, 3])
def test_sold_late_it_begins_at_once(service: Subscription, anna: Customer, alice: User, late: int) -> None:
    plan_it(service, alice)
    live(anna, day(late), day(late))
    assert (again(service).plan.slug, PlanChange.objects.get().outcome) == ("10gb", "taken")


def test_who_cancels_and_goes_on_has_it_still(service: Subscription, anna: Customer, alice: User) -> None:
    plan_it(service, alice)
    live(anna, day(-8), day(-3))
    with on_day(day(-3)):
        again(service).cancel(by=alice)
        again(service).go_on(by=alice)
    live(anna, day(-3), day(0))
    assert limit(anna, Feature.STORAGE_MB) == 10240


def test_who_ends_the_service_has_none(service: Subscription, anna: Customer, alice: User) -> None:
    plan_it(service, alice)
    with on_day(day(-20)):
        again(service).cancel(by=alice, at_once=True)
    assert PlanChange.objects.get().outcome == "withdrawn"


@pytest.mark.parametrize("comes_back_on", [-3, 4])
def test_what_was_paid_at_the_lower_price_holds_although_the_service_ended_meanwhile(
    service: Subscription, anna: Customer, alice: User, sam: User, comes_back_on: int
) -> None:
    plan_it(service, alice)
    live(anna, day(-8), day(-3))
    with on_day(day(-3)):
        assert newest(anna).total_minor == 5900
        pay(newest(anna), by=sam)
        again(service).cancel(by=alice, at_once=True)
    live(anna, day(-3), day(comes_back_on))
    with on_day(day(comes_back_on)):
        again(service).come_back(total_minor=0, by=alice)
    live(anna, day(comes_back_on), day(5))
    assert again(service).plan.slug == "10gb"


def test_planning_and_keeping_makes_no_heap_of_invoices(
    service: Subscription, anna: Customer, alice: User
) -> None:
    live(anna, day(-8), day(-6))
    smaller = Plan.objects.get(slug="10gb").present_version()
    with on_day(day(-5)):
        for _ in range(EDITIONS // 2):
            again(service).change_plan(smaller, total_minor=0, by=alice)
            sweep(anna)
            again(service).keep_plan(by=alice)
            sweep(anna)
        with pytest.raises(ValidationError, match="too often"):
            again(service).change_plan(smaller, total_minor=0, by=alice)
        again(service).cancel(by=alice)
        assert again(service).go_on(by=alice)  # which was done once
    assert Renewal.objects.exclude(taken_back_at=None).count() == EDITIONS + 1
