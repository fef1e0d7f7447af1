"""Staff send back all that was paid for a period that has not begun: it is not given."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry, Customer, User
from billing import ledger
from billing.crediting import grant_credit
from billing.models import FreeMonths, Plan, Refund, Renewal, SaleConflict, Subscription
from billing.submissions import Submission, new_token
from tests.billing.renewed import NEXT, live, newest, on_day, pay, sweep
from tests.billing.stripe_desk import mails
from tests.billing.test_free_months_give import give as give_months
from tests.billing.test_free_months_give import must_add_up, upgrade
from tests.billing.test_refund_give import give, page_of, path_of, sums

AsPerson = Callable[[User], Client]
ALL = {"way": "bank_transfer", "amount": "59.00", "reference": "B-1", "reason": "Wish", "end_service": "on"}


def day(number: int) -> date:
    return NEXT + timedelta(days=number)


def again(service: Subscription) -> Subscription:
    return Subscription.objects.get(pk=service.pk)


@pytest.fixture
def ahead(service: Subscription, anna: Customer, sam: User) -> Renewal:
    """The year from 15 March 2028 on, paid six days before."""
    live(anna, day(-7), day(-7))
    with on_day(day(-6)):
        pay(newest(anna), by=sam)
        sweep(anna)
    return newest(anna)


class TestWorks:
    def test_it_says_the_day_behind_free_months(
        self, ahead: Renewal, service: Subscription, sam: User, as_: AsPerson
    ) -> None:
        with on_day(day(-5)):
            give_months(service, 2, by=sam)
            assert "end the service on 15 May 2028" in page_of(as_(sam), path_of(ahead))
            give(ahead, 5900, by=sam, end_service=True)
            assert again(service).renews_on == date(2028, 5, 15)

    def test_the_service_ends_when_the_present_period_does(
        self, ahead: Renewal, service: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
    ) -> None:
        with on_day(day(-5)):
            page = page_of(as_(sam), path_of(ahead))
            assert (
                "15 March 2028 to 14 March 2029, has not begun. If all that was paid for it goes back, it is not given"
                in page
            )
            assert "If all of it goes back, end the service on 15 March 2028" in page
            assert as_(sam).post(path_of(ahead), ALL).status_code == 302
            assert "end the service on" not in page_of(as_(sam), path_of(ahead))
            (told,) = mails("subscription.cancelled")
            assert "It goes on until 15 March 2028" in told.body
            assert "Our staff cancelled it with what they sent back." in told.body
            assert "change your passwords" not in told.body
            assert mails("refund.given")
            assert "goes on after all" not in page_of(as_(alice), f"/c/{anna.username}/billing/")
        assert newest(anna).is_over
        assert (again(service).periods, again(service).renews_on) == (1, NEXT)
        entry = AuditEntry.objects.get(action="subscription.cancel", by=sam)
        assert entry.after == {"reason": "Wish", "ends": "2028-03-15"}
        live(anna, day(-5), day(0))
        assert again(service).ended_at
        assert Renewal.objects.count() == 1
        assert sums(ahead) == {"revenue": -5900, "bank": 5900}

    def test_or_it_is_asked_for_again(
        self, ahead: Renewal, service: Subscription, anna: Customer, sam: User, as_: AsPerson
    ) -> None:
        with on_day(day(-5)):
            as_(sam).post(path_of(ahead), ALL | {"end_service": ""})
            assert not again(service).cancellation
            sweep(anna)
            first, second = Renewal.objects.order_by("made_at")
            assert (first.is_over, second.number, second.due_minor) == (True, 1, 5900)
            pay(second, by=sam)
        assert again(service).renews_on == date(2029, 3, 15)

    def test_who_had_cancelled_hears_that_it_ends_sooner(
        self, ahead: Renewal, service: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
    ) -> None:
        with on_day(day(-5)):
            again(service).cancel(by=alice)
            assert "is cancelled, so it ends on 15 March 2028 then." in page_of(as_(sam), path_of(ahead))
            give(newest(anna), 5900, by=sam)
            told = mails("subscription.cancelled")[-1]
            assert "goes on until 15 March 2028" in told.body
            assert "change your passwords" in told.body
        live(anna, day(0), day(0))
        assert again(service).ended_at

    def test_what_had_ended_is_had_back_for_what_is_paid(
        self, ahead: Renewal, service: Subscription, anna: Customer, alice: User, sam: User
    ) -> None:
        with on_day(day(-5)):
            again(service).cancel(by=alice, at_once=True)
            give(newest(anna), 5900, by=sam)
            quote = again(service).return_quote()
        assert (quote.total_minor, quote.until_on) == (0, NEXT)


def test_a_part_leaves_it_and_the_rest_does_not(
    ahead: Renewal, service: Subscription, anna: Customer, sam: User
) -> None:
    with on_day(day(-5)):
        give(newest(anna), 2000, by=sam, end_service=True)
        assert not again(service).cancellation
        assert not newest(anna).is_over
        give(newest(anna), 3900, by=sam, end_service=True)
        assert newest(anna).is_over
        assert again(service).cancellation
    assert newest(anna).invoice.credited_minor == 5900  # type: ignore[union-attr]


def test_one_that_has_begun_is_given(
    ahead: Renewal, service: Subscription, anna: Customer, sam: User, as_: AsPerson
) -> None:
    with on_day(day(0)):
        assert "end the service on" not in page_of(as_(sam), path_of(ahead))
        answer = as_(sam).post(path_of(ahead), ALL)
        assert answer.status_code == 409
        assert "The period has begun meanwhile" in answer.content.decode()
        assert not Refund.objects.exists()
        give(newest(anna), 5900, by=sam)
    assert not newest(anna).is_over
    assert again(service).renews_on == date(2029, 3, 15)


def test_credit_that_paid_a_part_is_there_again(service: Subscription, anna: Customer, sam: User) -> None:
    live(anna, day(-7), day(-7))
    with on_day(day(-6)):
        grant = grant_credit(
            anna, amount_minor=2000, currency="USD", reason="It was down",
            submission=Submission(new_token(), "", True), by=sam,
        )  # fmt: skip
        assert newest(anna).use_credit()
        pay(newest(anna), by=sam)
        assert grant.left_minor == 0
        give(newest(anna), 3900, by=sam)
        assert newest(anna).is_over
        assert (grant.left_minor, ledger.free_credit(anna, "USD")) == (2000, 2000)


def test_free_months_behind_it_come_in_its_place(
    ahead: Renewal, service: Subscription, anna: Customer, sam: User
) -> None:
    with on_day(day(-5)):
        one, two = give_months(service, 1, by=sam), give_months(service, 2, by=sam)
        give(newest(anna), 5900, by=sam)
        must_add_up(service)
        shown = FreeMonths.objects.order_by("pk").values_list("period", "from_on")
        assert list(shown) == [(1, NEXT), (1, date(2028, 4, 15))]
        assert again(service).renews_on == date(2028, 6, 15)
        assert all(FreeMonths.objects.get(pk=each.pk).withdraw(by=sam) for each in (two, one))
    assert again(service).renews_on == NEXT


def test_a_change_of_plan_that_is_not_paid_comes_first(
    ahead: Renewal, service: Subscription, alice: User, sam: User, as_: AsPerson
) -> None:
    with on_day(day(-5)):
        upgrade(service, by=alice)
        assert "was paid for this period too" not in page_of(as_(sam), path_of(ahead))
        answer = as_(sam).post(path_of(ahead), ALL)
        assert answer.status_code == 409
        assert "The change of plan is not paid yet." in answer.content.decode()
        assert not Refund.objects.exists()
        made = Renewal.objects.get(kind="upgrade")
        pay(made, by=sam)
        words = f"The change to 25 GB ({made.label}) was paid for this period too: send back its part there."
        assert words in page_of(as_(sam), path_of(ahead))
        assert as_(sam).post(path_of(ahead), ALL).status_code == 302
    assert again(service).renews_on == NEXT


def test_a_cheaper_plan_stays_planned(service: Subscription, anna: Customer, alice: User, sam: User) -> None:
    with on_day(day(-30)):
        small = Plan.objects.get(slug="10gb")
        Plan.objects.filter(pk=small.pk).update(yearly_minor=4900)
        small.refresh_from_db()
        assert again(service).change_plan(small.present_version(), total_minor=0, by=alice)
    live(anna, day(-7), day(-7))
    with on_day(day(-6)):
        pay(newest(anna), by=sam)
        give(newest(anna), 4900, by=sam)
        assert again(service).planned_change.renewal is None  # type: ignore[union-attr]
        sweep(anna)
    assert newest(anna).amount_minor == 4900
    assert again(service).planned_change.renewal == newest(anna)  # type: ignore[union-attr]


def test_twice_is_harmless(ahead: Renewal, service: Subscription, sam: User, as_: AsPerson) -> None:
    once = ALL | {"submission": new_token()}
    with on_day(day(-5)):
        for _ in range(2):
            assert as_(sam).post(path_of(ahead), once).status_code == 302
    assert Refund.objects.count() == 1
    assert again(service).periods == 1


def test_of_an_order_nothing_ends(service: Subscription, sam: User, as_: AsPerson) -> None:
    with on_day(day(-5)), pytest.raises(SaleConflict, match="begun meanwhile"):
        give(service.order, 5900, by=sam, end_service=True)
    assert not Refund.objects.exists()


def test_the_page_asks_little(
    ahead: Renewal, sam: User, as_: AsPerson, django_assert_max_num_queries: Any
) -> None:
    with on_day(day(-5)):
        client, path = as_(sam), path_of(ahead)
        page_of(client, path)
        with django_assert_max_num_queries(24):
            page_of(client, path)
