"""What becomes of a renewal that is not paid: tried again, announced, stopped step by step, and lifted once it is paid."""

from datetime import date, timedelta
from typing import Any

import pytest

from accounts.models import Customer, Notice, SuspensionCause, User
from billing import card_payments, dunning
from billing.models import CardOnFile, ChargeState, DunningKind, Renewal, RenewalCharge, Subscription
from tests.billing.renewed import NEXT, live, newest, on_day, pay, sweep
from tests.billing.stripe_desk import StripeDesk, catch_up, save_card

DECLINED, NEEDS_OWNER, EXPIRED = "4000000000000341", "4000002760003184", "4000000000000069"


def day(number: int) -> date:
    """So many days after it was to be paid."""
    return NEXT + timedelta(days=number)


def tried(customer: Customer) -> list[tuple[int, str]]:
    """On which day after it was to be paid the card was tried, and what came of it."""
    charges = RenewalCharge.objects.filter(renewal__subscription__customer=customer).order_by("number")
    return [((each.at.date() - NEXT).days, each.state) for each in charges]


def taken(customer: Customer) -> list[tuple[int, str]]:
    """The steps, and the days on which they were taken."""
    return [((each.at.date() - NEXT).days, each.kind) for each in newest(customer).steps.order_by("pk")]


def stopped(customer: Customer) -> list[str]:
    found = customer.suspensions.in_force().filter(cause=SuspensionCause.UNPAID).first()
    return found.stops if found else []


class TestWorks:
    def test_a_declined_card_is_tried_again(
        self, stripe: StripeDesk, anna: Customer, visa: CardOnFile
    ) -> None:
        stripe.change(visa, number=DECLINED)
        live(anna, day(-8), day(9))
        assert tried(anna) == [(n, ChargeState.DECLINED) for n in (0, 1, 3, 5, 7)]
        assert Notice.objects.filter(kind="renewal.declined").count() == 5
        assert taken(anna) == [(7, DunningKind.SENDING_ANNOUNCED)]
        assert not stopped(anna)
        assert stripe.charges == 0

    def test_it_is_stopped_step_by_step(self, stripe: StripeDesk, anna: Customer, visa: CardOnFile) -> None:
        stripe.change(visa, number=DECLINED)
        live(anna, day(-8), day(60))
        assert taken(anna) == [
            (7, DunningKind.SENDING_ANNOUNCED),
            (10, DunningKind.SENDING_STOPPED),
            (21, DunningKind.RECEIVING_ANNOUNCED),
            (24, DunningKind.RECEIVING_STOPPED),
            (45, DunningKind.HANDED_OVER),
        ]
        assert stopped(anna) == ["receive", "send"]
        assert Notice.objects.filter(kind="renewal.overdue").count() == 5
        assert Renewal.objects.count() == 1
        assert not anna.ended_at
        assert Subscription.objects.get(customer=anna).ended_at is None

    def test_sending_alone_is_stopped_first(self, anna: Customer) -> None:
        live(anna, day(-8), day(10))
        assert stopped(anna) == ["send"]
        found = anna.suspensions.in_force().get()
        assert found.reason == "The service is on hold."
        assert found.until is None

    def test_without_a_card_one_is_asked_to_pay(self, anna: Customer) -> None:
        live(anna, day(-8), day(0))
        assert taken(anna) == [(0, DunningKind.REMINDED)]
        assert not tried(anna)


@pytest.mark.parametrize("number", [0, 5, 12, 30, 50])
def test_paying_lifts_everything(anna: Customer, sam: User, number: int) -> None:
    live(anna, day(-8), day(number))
    with on_day(day(number)):
        pay(newest(anna), "30.00", by=sam)
        assert bool(stopped(anna)) == (number >= 10)
        pay(newest(anna), by=sam)
    assert not stopped(anna)
    assert newest(anna).settled_at
    assert Notice.objects.filter(kind="renewal.paid").count() == 1
    live(anna, day(number), day(number + 5))
    assert Renewal.objects.count() == 1
    service = Subscription.objects.get(customer=anna)
    assert service.next_step_at
    assert service.next_step_at.date() == date(2029, 3, 8)


def test_paying_by_card_on_the_page(stripe: StripeDesk, anna: Customer, alice: User) -> None:
    live(anna, day(-8), day(12))
    with on_day(day(12)):
        url = card_payments.pay_by_card(newest(anna), by=alice)
        stripe.pay(url)
        catch_up()
    assert newest(anna).settled_at
    assert not stopped(anna)
    assert stripe.kept_minor == 5900


def test_what_is_paid_twice_goes_back(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, alice: User
) -> None:
    live(anna, day(-8), day(-1))
    with on_day(day(0)):
        url = card_payments.pay_by_card(newest(anna), by=alice)
        sweep(anna)
        stripe.pay(url)
        catch_up()
        catch_up()
    assert newest(anna).settled_at
    assert stripe.charges == 2
    assert stripe.kept_minor == 5900


def test_a_card_that_was_declined_for_good_is_not_tried_again(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile
) -> None:
    stripe.change(visa, number=EXPIRED)
    live(anna, day(-8), day(9))
    assert tried(anna) == [(0, ChargeState.DECLINED)]


def test_one_whose_bank_wants_to_hear_from_its_owner(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile
) -> None:
    stripe.change(visa, number=NEEDS_OWNER)
    live(anna, day(-8), day(2))
    assert tried(anna) == [(0, ChargeState.NEEDS_OWNER), (1, ChargeState.NEEDS_OWNER)]


def test_another_card_is_tried_at_once(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, alice: User
) -> None:
    stripe.change(visa, number=EXPIRED)
    live(anna, day(-8), day(2))
    with on_day(day(2)):
        save_card(stripe, anna, alice, "5555555555554444").make_default(by=alice)
        sweep(anna)
    assert tried(anna) == [(0, ChargeState.DECLINED), (2, ChargeState.PAID)]
    assert newest(anna).settled_at


def test_downtime_takes_no_step_that_was_not_announced(anna: Customer) -> None:
    live(anna, day(-8), day(-1))
    live(anna, day(40), day(60))
    assert taken(anna) == [
        (40, DunningKind.REMINDED),
        (40, DunningKind.SENDING_ANNOUNCED),
        (43, DunningKind.SENDING_STOPPED),
        (43, DunningKind.RECEIVING_ANNOUNCED),
        (46, DunningKind.RECEIVING_STOPPED),
        (46, DunningKind.HANDED_OVER),
    ]


def test_staffs_suspension_stays(anna: Customer, sam: User) -> None:
    live(anna, day(-8), day(12))
    anna.suspend(reason="Spam", by=sam)
    with on_day(day(12)):
        pay(newest(anna), by=sam)
    assert not stopped(anna)
    assert anna.suspensions.in_force().get().reason == "Spam"


def test_what_comes_next_is_said(stripe: StripeDesk, anna: Customer, visa: CardOnFile, settings: Any) -> None:
    stripe.change(visa, number=DECLINED)
    live(anna, day(-8), day(3))
    with on_day(day(3)):
        next_ = dunning.outlook(newest(anna))
    assert (next_.card, next_.charge_on, next_.next_on) == (visa, day(5), day(5))
    assert next_.days[DunningKind.SENDING_STOPPED] == day(10)
    assert next_.days[DunningKind.RECEIVING_STOPPED] == day(24)


def test_nobody_pays_what_is_paid(anna: Customer, sam: User) -> None:
    live(anna, day(-8), day(0))
    renewal = newest(anna)
    pay(renewal, by=sam)
    assert not renewal.take_step(DunningKind.SENDING_STOPPED)
    assert not stopped(anna)
