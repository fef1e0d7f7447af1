"""Paying by the other period, from the next one on."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.test import Client

from accounts.models import AuditEntry, User
from billing import screening
from billing.books import revenue
from billing.models import (
    Order,
    Period,
    Plan,
    PlanChange,
    PriceChanged,
    Renewal,
    RenewalKind,
    Subscription,
)
from billing.models.sale import EDITIONS
from billing.submissions import Submission, new_token
from tests.billing.conftest import fresh
from tests.billing.coupons import coupon
from tests.billing.renewed import begin, live, newest, on_day, pay, sweep
from tests.billing.stripe_desk import mails
from tests.billing.test_free_months_give import give as give_months
from tests.billing.test_refund_give import give

AsPerson = Callable[[User], Client]
Began = Callable[..., Subscription]
BILLING = "/c/annaexampl/billing/"
KEEP, YEARLY, MONTHLY = f"{BILLING}plan/keep/", f"{BILLING}period/to/yearly/", f"{BILLING}period/to/monthly/"
BEGAN, NEXT = date(2027, 1, 31), date(2027, 2, 28)


@pytest.fixture
def began(ordered: Callable[..., Order], sam: User, settings: Any) -> Began:
    """10 GB for 5.90 USD a month or 59.00 USD a year, since 31 January 2027."""
    settings.FRAUDRECORD_API_KEY = ""

    def make(period: str = Period.MONTHLY, **changes: Any) -> Subscription:
        order = ordered(period=period, **changes)
        screening.check_order(order.pk)
        fresh(order).approve("", by=sam)
        return begin(fresh(order), on=BEGAN, by=sam, period=period)

    return make


def again(service: Subscription) -> Subscription:
    return Subscription.objects.get(pk=service.pk)


def plan_it(service: Subscription, by: User, on: date = NEXT - timedelta(days=14)) -> PlanChange:
    with on_day(on):
        own = again(service)
        period = Period(own.period).other
        assert own.change_period(period, total_minor=own.period_quote(period).total_minor, by=by)
    return PlanChange.objects.get(ended_at=None)


def text(client: Client, path: str) -> str:
    return " ".join(client.get(path).content.decode().split())


def sold(service: Subscription) -> list[tuple[date, date, int, str]]:
    """What was sold after the order, and not taken back."""
    renewals = Renewal.objects.filter(subscription=service, taken_back_at=None).order_by("number")
    return [(each.from_on, each.until_on, each.amount_minor, each.period) for each in renewals]


class TestWorks:
    def test_from_monthly_to_yearly(
        self, taxed: Any, began: Began, alice: User, sam: User, as_: AsPerson
    ) -> None:
        service = began()
        anna = service.customer
        with on_day(NEXT - timedelta(days=14)):
            page = text(as_(alice), BILLING)
            assert f'href="{YEARLY}">Pay yearly instead</a>' in page
            assert f'href="{YEARLY}"' in text(as_(alice), f"{BILLING}plan/")
            page = text(as_(alice), YEARLY)
            assert (
                '<h2 id="then">From 28 February 2027 on</h2> <p class="amount" data-amount="70.21">' in page
            )
            assert ">Pay yearly from 28 February 2027 on</button>" in page
            assert "You save <strong>14.03 USD</strong> a year." in page  # 12 × 7.02 less 70.21
            assert "The invoice comes by mail on 21 February 2027." in page
            answer = as_(alice).post(YEARLY, {"total_minor": 7021})
            assert (answer.status_code, answer["Location"]) == (302, BILLING)
            (told,) = mails("plan.period_planned")
            assert told.subject == "10 GB is paid yearly from 28 February 2027 on"
            assert "The first period then costs 59.00 USD, without tax." in told.body
            page = text(as_(alice), BILLING)
            assert ">28 February 2027</time>: yearly, 59.00 USD without tax." in page
            assert "for 70.21 USD" in page
            assert "The invoice comes by mail on 21 February 2027." in page
            assert "Pay yearly instead" not in page
        live(anna, NEXT - timedelta(days=13), NEXT - timedelta(days=8))
        assert not sold(service)
        live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=7))
        assert sold(service) == [(NEXT, date(2028, 2, 29), 5900, "yearly")]
        with on_day(NEXT - timedelta(days=2)):
            pay(newest(anna), by=sam)
            page = text(as_(alice), BILLING)
            assert "5.90 USD, monthly (the first time 7.02 USD with tax)" in page
            assert 'Renews</dt> <dd> on <time datetime="2028-02-29">' in page
        live(anna, NEXT - timedelta(days=2), NEXT)
        own = again(service)
        assert (own.period, own.amount_minor, own.renews_on) == ("yearly", 5900, date(2028, 2, 29))
        assert PlanChange.objects.get().outcome == "taken"
        assert newest(anna).title == "10 GB, yearly"
        with on_day(NEXT):
            page = text(as_(alice), BILLING)
            assert "59.00 USD, yearly" in page
            assert "(the first time" not in page
            assert revenue.months()[0].minor == 491
        assert [each.action for each in AuditEntry.objects.filter(subject="10 GB", action__contains="period")] == [
            "subscription.take_period", "subscription.change_period",
        ]  # fmt: skip

    def test_from_yearly_to_monthly_on_the_day_of_the_month_on_which_it_began(
        self, began: Began, alice: User, sam: User, as_: AsPerson
    ) -> None:
        service = began(Period.YEARLY)
        anna = service.customer
        with on_day(date(2028, 1, 10)):
            page = text(as_(alice), MONTHLY)
            assert 'data-amount="5.90"' in page
            assert "It costs <strong>11.80 USD</strong> more a year." in page
            assert as_(alice).post(MONTHLY, {"total_minor": 590}).status_code == 302
        live(anna, date(2028, 1, 20), date(2028, 1, 27))
        assert not sold(service)  # a month is announced three days ahead, not seven
        for last in (date(2028, 1, 31), date(2028, 2, 29), date(2028, 3, 31)):
            live(anna, last - timedelta(days=3), last)
            pay(newest(anna), by=sam)
        assert sold(service) == [
            (date(2028, 1, 31), date(2028, 2, 29), 590, "monthly"),
            (date(2028, 2, 29), date(2028, 3, 31), 590, "monthly"),
            (date(2028, 3, 31), date(2028, 4, 30), 590, "monthly"),
        ]
        with on_day(date(2028, 3, 31)):
            worth = {month.first: month.minor for month in revenue.months()}
        assert (worth[date(2027, 12, 1)], worth[date(2028, 1, 1)]) == (491, 590)

    def test_there_and_back(self, began: Began, alice: User, sam: User) -> None:
        service = began()
        anna = service.customer
        plan_it(service, alice)
        live(anna, NEXT - timedelta(days=7), NEXT)
        pay(newest(anna), by=sam)
        plan_it(service, alice, on=date(2027, 6, 1))
        live(anna, date(2028, 2, 22), date(2028, 2, 29))
        pay(newest(anna), by=sam)
        live(anna, date(2028, 3, 28), date(2028, 3, 31))
        assert [each[:2] for each in sold(service)] == [
            (NEXT, date(2028, 2, 29)),
            (date(2028, 2, 29), date(2028, 3, 31)),
            (date(2028, 3, 31), date(2028, 4, 30)),
        ]

    def test_it_begins_on_its_day_where_nothing_is_paid(self, began: Began, alice: User) -> None:
        service = began()
        anna = service.customer
        plan_it(service, alice)
        live(anna, NEXT - timedelta(days=7), NEXT)
        assert again(service).period == "yearly"
        assert newest(anna).is_open

    def test_it_is_withdrawn_after_it_was_announced(self, began: Began, alice: User, as_: AsPerson) -> None:
        service = began()
        anna = service.customer
        plan_it(service, alice)
        live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=6))
        with on_day(NEXT - timedelta(days=6)):
            page = text(as_(alice), BILLING)
            assert "Pay as before" in page
            as_(alice).post(KEEP)
        assert again(service).renews_on == NEXT
        live(anna, NEXT - timedelta(days=6), NEXT)
        assert sold(service) == [(NEXT, date(2027, 3, 31), 590, "monthly")]
        assert AuditEntry.objects.filter(action="subscription.keep_period").count() == 1

    def test_what_was_announced_is_issued_anew(self, began: Began, alice: User) -> None:
        service = began()
        anna = service.customer
        live(anna, NEXT - timedelta(days=3), NEXT - timedelta(days=3))
        plan_it(service, alice, on=NEXT - timedelta(days=2))
        live(anna, NEXT - timedelta(days=1), NEXT - timedelta(days=1))
        assert sold(service) == [(NEXT, date(2028, 2, 29), 5900, "yearly")]
        assert Renewal.objects.exclude(taken_back_at=None).get().title == "10 GB, monthly"


def test_a_stranger_gets_404(began: Began, mallory: User, as_: AsPerson) -> None:
    began()
    assert as_(mallory).get(YEARLY).status_code == 404
    assert as_(mallory).post(YEARLY, {"total_minor": 5900}).status_code == 404
    assert not PlanChange.objects.exists()


def test_a_reader_gets_403_and_who_sees_to_billing_may(began: Began, bob: User, as_: AsPerson) -> None:
    anna = began().customer
    anna.add_member(bob, "reader", by=None)
    assert as_(bob).post(YEARLY, {"total_minor": 5900}).status_code == 403
    assert not PlanChange.objects.exists()
    anna.memberships.filter(user=bob).update(role="billing")
    with on_day(BEGAN):
        assert as_(bob).post(YEARLY, {"total_minor": 5900}).status_code == 302
    assert PlanChange.objects.get().by == bob


def test_twice_is_harmless(began: Began, alice: User, as_: AsPerson) -> None:
    began()
    with on_day(BEGAN):
        for _ in range(2):
            assert as_(alice).post(YEARLY, {"total_minor": 5900}).status_code == 302
    assert PlanChange.objects.count() == 1
    assert AuditEntry.objects.filter(action="subscription.change_period").count() == 1


@pytest.mark.parametrize(
    ("sent", "status"), [({"total_minor": 5899}, 409), ({}, 422), ({"total_minor": "a"}, 422)]
)
def test_without_the_sum_that_was_shown_nothing_changes(
    began: Began, alice: User, as_: AsPerson, sent: dict[str, Any], status: int
) -> None:
    service = began()
    with on_day(BEGAN):
        assert as_(alice).post(YEARLY, sent).status_code == status
        with pytest.raises(PriceChanged):
            again(service).change_period(Period.YEARLY, total_minor=0, by=alice)
    assert not PlanChange.objects.exists()


def test_what_is_not_a_period_is_not_there(began: Began, alice: User, as_: AsPerson) -> None:
    began()
    assert as_(alice).get(f"{BILLING}period/to/weekly/").status_code == 404


def test_the_one_by_which_it_is_paid_changes_nothing(began: Began, alice: User, as_: AsPerson) -> None:
    began()
    with on_day(BEGAN):
        assert "You pay monthly already." in text(as_(alice), MONTHLY)
        page = as_(alice).post(MONTHLY, {"total_minor": 590}, follow=True).content.decode()
    assert "That is so already. Nothing was changed." in page
    assert not PlanChange.objects.exists()


def test_the_price_is_that_of_what_was_sold(began: Began, alice: User, as_: AsPerson) -> None:
    service = began()
    plan = Plan.objects.get(slug="10gb")
    plan.yearly_minor = 9900
    plan.save()
    with on_day(BEGAN):
        assert 'data-amount="59.00"' in text(as_(alice), YEARLY)
        plan_it(service, alice, on=BEGAN)
    assert PlanChange.objects.get().amount_minor == 5900


def test_what_is_not_sold_by_it_is_not_offered(began: Began, alice: User, as_: AsPerson) -> None:
    plan = Plan.objects.get(slug="10gb")
    plan.yearly_minor = None
    plan.save()
    service = began()
    with on_day(BEGAN):
        assert "instead</a>" not in text(as_(alice), BILLING)
        assert "10 GB is not sold in another way" in text(as_(alice), f"{BILLING}plan/")
        answer = as_(alice).post(YEARLY, {"total_minor": 5900})
        assert answer.status_code == 422
        assert "10 GB, as you have it, is not sold yearly. Write to us." in answer.content.decode()
        with pytest.raises(ValidationError, match="not sold yearly"):
            again(service).change_period(Period.YEARLY, total_minor=0, by=alice)


def test_one_change_at_a_time(began: Began, alice: User, as_: AsPerson) -> None:
    service = began()
    plan_it(service, alice, on=BEGAN)
    with on_day(BEGAN):
        page = text(as_(alice), f"{BILLING}plan/to/25gb/")
        assert "A change to yearly payment is planned. Take that back first, then choose anew." in page
        larger = Plan.objects.get(slug="25gb").present_version()
        with pytest.raises(ValidationError, match="yearly payment is planned"):
            again(service).change_plan(larger, total_minor=400, by=alice)
        assert not again(service).change_plan(again(service).version, total_minor=0, by=alice)


def test_not_while_an_upgrade_or_a_period_is_to_be_paid(began: Began, alice: User, as_: AsPerson) -> None:
    service = began()
    anna = service.customer
    with on_day(BEGAN):
        larger = Plan.objects.get(slug="25gb").present_version()
        total = again(service).plan_quote(larger).total_minor
        again(service).change_plan(larger, total_minor=total, by=alice)
        assert "The change to 25 GB is not paid yet." in text(as_(alice), YEARLY)
        again(service).keep_plan(by=alice)
    live(anna, NEXT - timedelta(days=3), NEXT)
    with on_day(NEXT):
        assert "The period that has begun is not paid yet." in text(as_(alice), YEARLY)


def test_what_was_bought_before_keeps_its_name(began: Began, alice: User, sam: User) -> None:
    service = began()
    anna = service.customer
    live(anna, NEXT - timedelta(days=3), NEXT)
    pay(newest(anna), by=sam)
    with on_day(NEXT):
        larger = Plan.objects.get(slug="25gb").present_version()
        again(service).change_plan(
            larger, total_minor=again(service).plan_quote(larger).total_minor, by=alice
        )
        pay(Renewal.objects.get(kind=RenewalKind.UPGRADE), by=sam)
    plan_it(service, alice, on=date(2027, 3, 1))
    live(anna, date(2027, 3, 24), date(2027, 3, 31))
    titles = [each.title for each in Renewal.objects.order_by("made_at")]
    assert titles == ["10 GB, monthly", "25 GB in place of 10 GB, monthly", "25 GB, yearly"]
    with on_day(date(2027, 3, 31)):
        worth = [month.minor for month in revenue.months()][:3]
    assert worth == [825, 990, 590]


@pytest.mark.parametrize(
    ("terms", "off", "words"),
    [
        (
            {"percent": 20, "periods": 3},
            1180,
            "is counted in periods, so it is taken off the next 2 years; then",
        ),
        ({"percent": 20, "periods": 2}, 1180, "so it is taken off the next year; then the full price holds."),
        ({"percent": 20, "periods": None}, 1180, "it goes on, and is taken off every year to come."),
        ({"percent": 20, "periods": 1}, 0, ""),
    ],
)
def test_the_page_says_what_becomes_of_the_coupon(
    began: Began, alice: User, as_: AsPerson, terms: dict[str, Any], off: int, words: str
) -> None:
    coupon("SOME-20", **terms)
    service = began(coupon="SOME-20")
    anna = service.customer
    with on_day(BEGAN):
        page = text(as_(alice), YEARLY)
    assert (words in page) if words else ("data-coupon" not in page)
    assert f'data-amount="{(5900 - off) // 100}.{(5900 - off) % 100:02}"' in page
    plan_it(service, alice)
    live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=7))
    assert (newest(anna).amount_minor, newest(anna).discount_minor) == (5900 - off, off)


def test_a_coupon_that_does_not_fit_the_lower_price_takes_nothing_off(
    began: Began, alice: User, as_: AsPerson
) -> None:
    coupon("SIX-OFF", percent=None, amount_minor=600, periods=None)
    began(Period.YEARLY, coupon="SIX-OFF")
    with on_day(BEGAN):
        page = text(as_(alice), MONTHLY)
    assert "it does not fit this price, so nothing is taken off, and its periods go by all the same." in page
    assert 'data-amount="5.90"' in page


class TestWithOthers:
    """What else can happen between the planning and its day."""

    def test_free_months_come_before_it(self, began: Began, alice: User, sam: User) -> None:
        service = began()
        anna = service.customer
        plan_it(service, alice)
        live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=6))
        with on_day(NEXT - timedelta(days=6)):
            give_months(again(service), 2, by=sam)
        later = date(2027, 4, 30)
        live(anna, later - timedelta(days=7), later)
        assert sold(service) == [(later, date(2028, 4, 30), 5900, "yearly")]
        assert again(service).period == "yearly"

    def test_free_months_given_after_it_was_paid_come_behind_it(
        self, began: Began, alice: User, sam: User
    ) -> None:
        service = began()
        anna = service.customer
        plan_it(service, alice)
        live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=6))
        with on_day(NEXT - timedelta(days=6)):
            pay(newest(anna), by=sam)
            give_months(again(service), 1, by=sam)
            assert again(service).renews_on == date(2028, 3, 31)
        live(anna, NEXT - timedelta(days=6), NEXT)
        assert again(service).renews_on == date(2028, 3, 31)

    def test_who_cancels_and_goes_on_has_it_still(self, began: Began, alice: User) -> None:
        service = began()
        anna = service.customer
        plan_it(service, alice)
        live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=6))
        with on_day(NEXT - timedelta(days=6)):
            again(service).cancel(by=alice)
            assert again(service).renews_on == NEXT
            again(service).go_on(by=alice)
        live(anna, NEXT - timedelta(days=6), NEXT)
        assert sold(service) == [(NEXT, date(2028, 2, 29), 5900, "yearly")]

    def test_what_is_paid_by_it_holds_although_the_service_ended_meanwhile(
        self, began: Began, alice: User, sam: User
    ) -> None:
        service = began()
        anna = service.customer
        plan_it(service, alice)
        live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=6))
        with on_day(NEXT - timedelta(days=6)):
            pay(newest(anna), by=sam)
            with pytest.raises(ValidationError, match="on is sold with yearly payment already"):
                again(service).keep_plan(by=alice)
            again(service).cancel(by=alice, at_once=True)
        live(anna, NEXT - timedelta(days=6), NEXT)
        with on_day(NEXT):
            assert again(service).come_back(total_minor=0, by=alice)
        assert (again(service).period, again(service).renews_on) == ("yearly", date(2028, 2, 29))

    def test_who_ends_it_and_buys_it_back_pays_as_before(self, began: Began, alice: User, sam: User) -> None:
        service = began()
        anna = service.customer
        plan_it(service, alice)
        live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=6))
        day = NEXT - timedelta(days=6)
        with on_day(day):
            renewal = newest(anna)
            pay(renewal, by=sam)
            renewal.refund(
                way="other", amount_minor=5800, reason="Asked for", reference="R2",
                submission=Submission(new_token(), "", True), by=sam,
            )  # fmt: skip
            again(service).cancel(by=alice, at_once=True)
            assert again(service).come_back(total_minor=590, by=alice)
            pay(newest(anna), by=sam)
        live(anna, day, NEXT + timedelta(days=1))
        own = again(service)
        assert (own.period, own.coming_period, own.renews_on) == ("monthly", "", date(2027, 3, 22))
        assert PlanChange.objects.get().outcome == "withdrawn"

    @pytest.mark.parametrize("period", [Period.MONTHLY, Period.YEARLY])
    def test_who_has_it_back_is_sold_as_before_also_where_the_day_comes_meanwhile(
        self, began: Began, alice: User, sam: User, period: Period
    ) -> None:
        service, start = began(period), NEXT if period == Period.MONTHLY else date(2028, 1, 31)
        anna, eve = service.customer, start - timedelta(days=2)
        plan_it(service, alice, on=start - timedelta(days=14))
        live(anna, start - timedelta(days=7), eve)
        with on_day(eve):
            ahead = newest(anna)
            pay(ahead, by=sam)
            again(service).cancel(by=alice, at_once=True)
            give(ahead, (ahead.total_minor + 1) // 2, by=sam)
            assert again(service).come_back(total_minor=again(service).return_quote().total_minor, by=alice)
            back = newest(anna)
        live(anna, start - timedelta(days=1), start + timedelta(days=1))
        with on_day(start + timedelta(days=1)):
            pay(back, by=sam)
        live(anna, start + timedelta(days=2), start + timedelta(days=2))
        own = again(service)
        assert (own.period, own.renews_on, back.period) == (period, back.until_on, period)
        assert PlanChange.objects.get().outcome == "withdrawn"

    def test_who_does_without_having_it_back_keeps_what_is_planned(
        self, began: Began, alice: User, sam: User
    ) -> None:
        service = began()
        plan_it(service, alice)
        live(service.customer, NEXT - timedelta(days=7), NEXT - timedelta(days=6))
        with on_day(NEXT - timedelta(days=5)):
            pay(newest(service.customer), by=sam)
            again(service).cancel(by=alice, at_once=True)
            give(newest(service.customer), 3000, by=sam)
            again(service).come_back(total_minor=again(service).return_quote().total_minor, by=alice)
            again(service).keep_plan(by=alice)
        assert PlanChange.objects.get().ended_at is None
        assert AuditEntry.objects.filter(action="subscription.stay_ended").exists()
        assert not AuditEntry.objects.filter(action="subscription.keep_period").exists()

    def test_who_has_it_back_for_nothing_reads_what_it_will_cost(
        self, began: Began, alice: User, sam: User
    ) -> None:
        service = began()
        plan_it(service, alice)
        live(service.customer, NEXT - timedelta(days=7), NEXT - timedelta(days=6))
        with on_day(NEXT - timedelta(days=5)):
            pay(newest(service.customer), by=sam)
            again(service).cancel(by=alice, at_once=True)
            again(service).come_back(total_minor=0, by=alice)
            body = mails("subscription.back")[-1].body
        assert "It renews on 29 February 2028, at 59.00 USD without tax." in body

    def test_a_period_that_goes_back_whole_is_sold_by_the_other_one_again(
        self, began: Began, alice: User, sam: User
    ) -> None:
        service = began()
        anna = service.customer
        plan_it(service, alice)
        day = NEXT - timedelta(days=6)
        live(anna, NEXT - timedelta(days=7), day)
        with on_day(day):
            pay(newest(anna), by=sam)
            newest(anna).refund(
                way="other", amount_minor=5900, reason="Asked for", reference="R2",
                submission=Submission(new_token(), "", True), by=sam,
            )  # fmt: skip
            own = again(service)
            assert (own.period, own.coming_period, own.renews_on) == ("monthly", "", NEXT)
            assert PlanChange.objects.get().renewal is None
        live(anna, day + timedelta(days=1), day + timedelta(days=1))
        renewal = newest(anna)
        assert (renewal.is_open, renewal.period, renewal.from_on) == (True, "yearly", NEXT)


def test_what_a_program_of_before_sells_has_the_period_of_its_subscription(began: Began) -> None:
    service = began()
    with transaction.atomic():
        made = service.renewals.create(
            number=1, plan=service.plan, version=service.version, from_on=NEXT, until_on=date(2027, 3, 31),
            amount_minor=590, currency="USD",
        )  # fmt: skip
        assert Renewal.objects.get(pk=made.pk).period == "monthly"
        transaction.set_rollback(True)


def test_planning_and_keeping_makes_no_heap_of_invoices(began: Began, alice: User) -> None:
    service = began(Period.YEARLY)
    anna = service.customer
    last = date(2028, 1, 31)
    live(anna, last - timedelta(days=7), last - timedelta(days=7))
    with on_day(last - timedelta(days=3)):
        for _ in range(EDITIONS // 2):
            again(service).change_period(Period.MONTHLY, total_minor=590, by=alice)
            sweep(anna)
            again(service).keep_plan(by=alice)
            sweep(anna)
        with pytest.raises(ValidationError, match="too often"):
            again(service).change_period(Period.MONTHLY, total_minor=590, by=alice)
    assert again(service).renews_on == date(2029, 1, 31)
