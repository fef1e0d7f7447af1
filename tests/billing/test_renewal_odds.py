"""Renewals when things go otherwise than planned: paid in two ways, refused, late, taken back, a card that was removed."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from accounts.models import Customer, User
from billing import card_charges, card_payments, card_setups
from billing.models import CardOnFile, ChargeState, Invoice, Renewal, RenewalCharge, Subscription, kept_card
from billing.models.sale import EDITIONS
from billing.renewal_charges import learn_charge
from billing.stripe_calls import StripeGatewayError
from tests.billing.renewed import NEXT, live, newest, on_day, pay, sweep
from tests.billing.stripe_desk import StripeDesk, catch_up, mails, save_card

CREATE = "POST /v1/payment_intents"


def day(number: int) -> date:
    return NEXT + timedelta(days=number)


def taken(customer: Customer) -> list[tuple[int, str]]:
    return [((each.at.date() - NEXT).days, each.kind) for each in newest(customer).steps.order_by("pk")]


class TestPaidInAnotherWayMeanwhile:
    """The reply to a charge was lost, and nobody knows of it when the money comes in otherwise."""

    def test_by_transfer(self, stripe: StripeDesk, anna: Customer, visa: CardOnFile, sam: User) -> None:
        live(anna, day(-8), day(-1))
        with on_day(day(0)):
            stripe.fail(CREATE, "lost")
            sweep(anna)
            assert stripe.kept_minor == 5900
            pay(newest(anna), by=sam)
        live(anna, day(1), day(2))
        with on_day(day(2), 13):
            catch_up()
        assert stripe.kept_minor == 0
        assert not RenewalCharge.objects.filter(ended_at=None).exists()

    def test_on_the_page(self, stripe: StripeDesk, anna: Customer, visa: CardOnFile, alice: User) -> None:
        live(anna, day(-8), day(-1))
        with on_day(day(0)):
            url = card_payments.pay_by_card(newest(anna), by=alice)
            stripe.fail(CREATE, "lost")
            sweep(anna)
            stripe.pay(url)
            catch_up()
        live(anna, day(1), day(2))
        with on_day(day(2), 13):
            catch_up()
        assert stripe.charges == 2
        assert stripe.kept_minor == 5900

    def test_what_never_reached_stripe_is_not_charged(
        self, stripe: StripeDesk, anna: Customer, visa: CardOnFile, sam: User
    ) -> None:
        live(anna, day(-8), day(-1))
        with on_day(day(0)):
            stripe.fail(CREATE, "unreached")
            sweep(anna)
            pay(newest(anna), by=sam)
        live(anna, day(1), day(2))
        assert stripe.charges == 0
        assert not RenewalCharge.objects.filter(ended_at=None).exists()
        assert not mails("renewal.declined")

    def test_in_part(self, stripe: StripeDesk, anna: Customer, visa: CardOnFile, sam: User) -> None:
        live(anna, day(-8), day(-1))
        with on_day(day(0)):
            stripe.fail(CREATE, "unreached")
            sweep(anna)
            pay(newest(anna), "30.00", by=sam)
        with on_day(day(0), 14):
            sweep(anna)
        assert stripe.kept_minor == 2900
        assert newest(anna).settled_at

    def test_what_another_worker_may_be_asking_for_is_not_given_up(
        self, stripe: StripeDesk, anna: Customer, visa: CardOnFile, sam: User
    ) -> None:
        live(anna, day(-8), day(-1))
        with on_day(day(0)):
            charge = begun_before(newest(anna), visa)
            pay(newest(anna), by=sam)
            with pytest.raises(StripeGatewayError):
                learn_charge(RenewalCharge.objects.get())
            charge_at_stripe(charge)
        live(anna, day(1), day(2))
        with on_day(day(2), 13):
            catch_up()
        assert (stripe.charges, stripe.kept_minor) == (1, 0)

    def test_what_was_taken_after_all_is_sent_back(
        self, stripe: StripeDesk, anna: Customer, visa: CardOnFile, sam: User
    ) -> None:
        live(anna, day(-8), day(-1))
        with on_day(day(0)):
            charge = begun_before(newest(anna), visa)
            pay(newest(anna), by=sam)
            RenewalCharge.objects.update(state=ChargeState.DECLINED, ended_at=timezone.now())
            charge_at_stripe(charge)
            assert learn_charge(charge)
            catch_up()
        assert (stripe.charges, stripe.kept_minor) == (1, 0)
        assert newest(anna).payments.get(method="card").kept_minor == 0


def begun_before(renewal: Renewal, card: CardOnFile) -> RenewalCharge:
    """As programs wrote it that noted later that Stripe is asked."""
    return renewal.charges.create(number=1, card=card, amount_minor=5900, currency="USD")


def charge_at_stripe(charge: RenewalCharge) -> None:
    card_charges.charge(
        charge.card, key=charge.key, ours=charge.ours, begun_at=charge.at, amount_minor=charge.amount_minor,
        currency=charge.currency, description="A renewal",
    )  # fmt: skip


def test_what_no_card_can_pay_is_asked_for(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, service: Subscription
) -> None:
    Subscription.objects.filter(pk=service.pk).update(currency="KWD", amount_minor=5987)
    live(anna, day(-8), day(10))
    assert not RenewalCharge.objects.exists()
    assert (10, "sending_stopped") in taken(anna)


def test_a_card_of_another_account_is_declined(stripe: StripeDesk, anna: Customer, visa: CardOnFile) -> None:
    with stripe.books.lock:
        stripe.books.objects.clear()
    live(anna, day(-8), day(10))
    assert RenewalCharge.objects.get().is_final
    assert (10, "sending_stopped") in taken(anna)


def test_one_that_is_made_late_is_late_later(anna: Customer) -> None:
    live(anna, day(24), day(30))
    invoice = newest(anna).invoice
    assert invoice
    assert (invoice.issued_on, invoice.due_on) == (day(24), day(25))
    assert taken(anna) == [(25, "reminded")]
    with on_day(day(30), 13):
        (told,) = mails("renewal.coming")
    assert "9 April 2028" in told.body
    assert "15 March 2028." not in told.body


def test_the_heir_of_a_removed_card_is_charged(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, alice: User
) -> None:
    save_card(stripe, anna, alice, "5555555555554444")
    stripe.change(visa, number="4000000000000069")
    live(anna, day(-8), day(2))
    with on_day(day(2), 13):
        CardOnFile.objects.get(pk=visa.pk).remove(by=alice)
        sweep(anna)
    assert newest(anna).settled_at


def test_toggling_cards_tries_each_once(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, alice: User
) -> None:
    other = save_card(stripe, anna, alice, "5555555555554444")
    stripe.change(visa, number="4000000000000341")
    stripe.change(other, number="4000000000000341")
    live(anna, day(-8), day(-1))
    with on_day(day(0)):
        for number in range(6):
            sweep(anna)
            CardOnFile.objects.get(pk=(other, visa)[number % 2].pk).make_default(by=alice)
    assert RenewalCharge.objects.count() == 2


def test_nobody_is_renewed_while_staff_suspend_them(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, sam: User
) -> None:
    live(anna, day(-8), day(-1))
    anna.suspend(reason="Spam", by=sam)
    live(anna, day(0), day(3))
    assert stripe.charges == 0
    anna.lift_suspension(by=sam)
    live(anna, day(4), day(5))
    assert newest(anna).settled_at


def test_cancelling_and_going_on_makes_no_heap_of_invoices(
    anna: Customer, alice: User, service: Subscription
) -> None:
    live(anna, day(-8), day(-3))
    with on_day(day(-3)):
        for _ in range(EDITIONS - 1):
            Subscription.objects.get(pk=service.pk).cancel(by=alice)
            Subscription.objects.get(pk=service.pk).go_on(by=alice)
            sweep(anna)
        Subscription.objects.get(pk=service.pk).cancel(by=alice)
        with pytest.raises(ValidationError):
            Subscription.objects.get(pk=service.pk).go_on(by=alice)
    assert Invoice.objects.filter(renewal__isnull=False, corrects=None).count() == EDITIONS


def test_what_is_told_where_it_was_cancelled(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, alice: User, service: Subscription
) -> None:
    live(anna, day(-8), day(0))
    with on_day(day(0), 13):
        Subscription.objects.get(pk=service.pk).cancel(by=alice)
        (told,) = mails("renewal.paid")
    assert "The next renewal is on" not in told.body


def test_strangers_do_not_read_that_nobody_paid(anna: Customer) -> None:
    live(anna, day(-8), day(12))
    (suspension,) = anna.suspensions.in_force()
    assert suspension.reason == "The service is on hold."


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_card_is_saved_while_the_service_ends(
    stripe: StripeDesk, service: Subscription, anna: Customer, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither waits for the other for ever."""
    soon, end = kept_card._charge_soon, Customer.end

    def charge_soon(customer: Customer) -> None:
        time.sleep(0.3)
        soon(customer)

    def ended(self: Customer, **more: Any) -> bool:
        time.sleep(0.3)
        return end(self, **more)

    monkeypatch.setattr(kept_card, "_charge_soon", charge_soon)
    monkeypatch.setattr(Customer, "end", ended)

    def save() -> CardOnFile | None:
        try:
            return card_setups.learn_card(anna)
        finally:
            connection.close()

    def cancel() -> bool:
        try:
            return Subscription.objects.get(pk=service.pk).cancel(by=alice, at_once=True)
        finally:
            connection.close()

    with on_day(day(-30)):
        stripe.pay(card_setups.add_card(anna, by=alice))
        with ThreadPoolExecutor(2) as pool:
            saved, cancelled = pool.submit(save), pool.submit(cancel)
            saved.result()  # or none, where the service had ended by then
            assert cancelled.result()
