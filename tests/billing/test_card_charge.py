"""Charging a kept card while its owner is not there: once, whatever is lost on the way, and with a reason in our words."""

import time
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import Customer, User
from billing import card_charges, declines
from billing.models import CardOnFile, StripeCustomer
from billing.stripe_calls import StripeGatewayError
from billing.stripe_cards import ChargeFacts, ChargeState
from tests.billing.stripe_desk import StripeDesk, save_card

CREATE = "POST /v1/payment_intents"


@pytest.fixture
def visa(stripe: StripeDesk, acme: Customer, alice: User) -> CardOnFile:
    return save_card(stripe, acme, alice)


def charge(card: CardOnFile, **changes: Any) -> ChargeFacts:
    wish: dict[str, Any] = {
        "key": str(uuid4()), "ours": "invoice-7-1", "begun_at": timezone.now(), "amount_minor": 5900,
        "currency": "USD", "description": "Invoice 7",
    }  # fmt: skip
    return card_charges.charge(card, **wish | changes)


def find(card: CardOnFile, ours: str = "invoice-7-1", begun_at: datetime | None = None) -> ChargeFacts | None:
    return card_charges.find_charge(card, ours=ours, begun_at=begun_at or timezone.now())


def test_works(stripe: StripeDesk, visa: CardOnFile) -> None:
    facts = charge(visa)
    assert (facts.state, facts.ours, facts.amount_minor, facts.currency, facts.reason) == (
        ChargeState.PAID, "invoice-7-1", 5900, "USD", ""
    )  # fmt: skip
    intent = stripe.books.objects[facts.intent]
    assert (intent["customer"], intent["description"]) == (visa.stripe_customer, "Invoice 7")
    assert stripe.kept_minor == 5900
    assert card_charges.look_at_charge(facts.intent) == facts == find(visa)


def test_twice_under_one_key_is_one_charge(stripe: StripeDesk, visa: CardOnFile) -> None:
    assert charge(visa, key="one") == charge(visa, key="one")
    assert stripe.charges == 1


def test_amounts_are_those_that_stripe_counts_in(stripe: StripeDesk, visa: CardOnFile) -> None:
    assert charge(visa, currency="ISK", amount_minor=59).amount_minor == 59
    assert stripe.kept_minor == 5900
    with pytest.raises(StripeGatewayError, match="no such amount") as error:
        charge(visa, currency="KWD", amount_minor=5901)
    assert not error.value.retry


@pytest.mark.parametrize(
    ("number", "state", "reason", "final"),
    [
        ("4000000000000341", ChargeState.DECLINED, "does not say why", False),
        ("4000000000000002", ChargeState.DECLINED, "does not say why", False),
        ("4000000000009995", ChargeState.DECLINED, "not enough money", False),
        ("4000000000000069", ChargeState.DECLINED, "has expired", True),
        ("4000002760003184", ChargeState.NEEDS_OWNER, "wants to hear from you", False),
    ],
)
def test_a_decline_has_a_reason(
    stripe: StripeDesk, visa: CardOnFile, number: str, state: ChargeState, reason: str, final: bool
) -> None:
    stripe.change(visa, number=number)
    facts = charge(visa, key="declined")
    assert (facts.state, facts.final, stripe.charges) == (state, final, 0)
    assert reason in facts.reason
    assert charge(visa, key="declined") == facts == find(visa)


@pytest.mark.parametrize("number", ["4000002500003155", "4242424242424242"])
def test_a_card_that_was_set_up_is_not_asked_for(
    stripe: StripeDesk, acme: Customer, alice: User, number: str
) -> None:
    assert charge(save_card(stripe, acme, alice, number)).state is ChargeState.PAID


@pytest.mark.parametrize("fault", ["lost", "500-after"])
def test_what_was_charged_without_our_knowing_is_found(
    stripe: StripeDesk, visa: CardOnFile, fault: str
) -> None:
    """A day later its key is forgotten, so the caller looks before anything else."""
    begun_at = timezone.now()
    stripe.fail(CREATE, fault)
    with pytest.raises(StripeGatewayError) as error:
        charge(visa, key="one")
    assert error.value.retry
    found = find(visa, begun_at=begun_at)
    assert found
    assert (found.state, stripe.charges) == (ChargeState.PAID, 1)


def test_a_lost_reply_is_had_again_under_its_key(stripe: StripeDesk, visa: CardOnFile) -> None:
    stripe.fail(CREATE, "lost")
    with pytest.raises(StripeGatewayError):
        charge(visa, key="one")
    assert charge(visa, key="one").state is ChargeState.PAID
    assert stripe.charges == 1


@pytest.mark.parametrize("fault", ["unreached", "409", "429", "500", "503"])
def test_what_was_not_charged_is_not_found(stripe: StripeDesk, visa: CardOnFile, fault: str) -> None:
    stripe.fail(CREATE, fault)
    with pytest.raises(StripeGatewayError) as error:
        charge(visa)
    assert error.value.retry
    assert find(visa) is None
    assert stripe.charges == 0


def test_one_that_was_paid_is_found_before_others(stripe: StripeDesk, visa: CardOnFile) -> None:
    stripe.change(visa, number="4000000000000341")
    charge(visa)
    stripe.change(visa, number="4242424242424242")
    paid = charge(visa)
    stripe.change(visa, number="4000000000000341")
    charge(visa)
    assert find(visa) == paid


def test_others_of_the_customer_are_not_taken_for_it(
    stripe: StripeDesk, visa: CardOnFile, other: Customer, mallory: User
) -> None:
    charge(visa, ours="invoice-8-1")
    charge(save_card(stripe, other, mallory))
    assert find(visa) is None


def test_a_card_that_was_taken_off_at_stripe_is_declined(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer
) -> None:
    stripe.detach(visa)
    facts = charge(visa)
    assert (facts.state, facts.intent, facts.reason, facts.final) == (
        ChargeState.DECLINED, "", declines.GONE, True
    )  # fmt: skip
    visa.refresh_from_db()
    assert visa.state == "removed"


def test_a_card_that_was_removed_after_it_was_charged(
    stripe: StripeDesk, visa: CardOnFile, alice: User
) -> None:
    """The reply is lost, and the card is removed before anybody asks again: the money is in all the same."""
    begun_at = timezone.now()
    stripe.fail(CREATE, "lost")
    with pytest.raises(StripeGatewayError):
        charge(visa, begun_at=begun_at)
    visa.remove(by=alice)
    assert charge(visa, begun_at=begun_at).state is ChargeState.PAID
    assert stripe.charges == 1


def test_a_card_that_was_removed_is_not_charged(stripe: StripeDesk, visa: CardOnFile, alice: User) -> None:
    visa.remove(by=alice)
    assert charge(visa).reason == declines.GONE
    assert stripe.charges == 0


def test_one_that_is_under_way_when_its_card_is_removed_is_not_declined(
    stripe: StripeDesk, visa: CardOnFile, alice: User, settings: Any
) -> None:
    """Its reply came too late, and Stripe still charges: nobody knows yet."""
    begun_at, settings.STRIPE_DEADLINE = timezone.now(), 0.3
    stripe.fail(CREATE, "slow", seconds=2)
    with pytest.raises(StripeGatewayError):
        charge(visa, key="one", begun_at=begun_at)
    visa.remove(by=alice)
    settings.STRIPE_DEADLINE = 5
    with pytest.raises(StripeGatewayError, match="removed a moment ago") as error:
        charge(visa, key="one", begun_at=begun_at)
    assert (error.value.retry, error.value.spent) == (True, False)
    while "one" not in stripe.books.replies:
        time.sleep(0.02)
    assert charge(visa, key="one", begun_at=begun_at).state is ChargeState.PAID
    assert stripe.charges == 1


def test_what_has_settled_after_its_card_was_removed_is_declined(
    stripe: StripeDesk, visa: CardOnFile, alice: User
) -> None:
    stripe.fail(CREATE, "unreached")
    begun_at = timezone.now() - timedelta(minutes=5)
    with pytest.raises(StripeGatewayError):
        charge(visa, begun_at=begun_at)
    visa.remove(by=alice)
    CardOnFile.objects.update(removed_at=timezone.now() - timedelta(minutes=3))
    assert charge(visa, begun_at=begun_at).reason == declines.GONE


def test_a_key_that_stripe_has_forgotten_charges_nothing_again(stripe: StripeDesk, visa: CardOnFile) -> None:
    old = timezone.now() - timedelta(hours=25)
    paid = charge(visa, key="one")
    stripe.books.replies.clear()
    assert charge(visa, key="one", begun_at=old) == paid
    assert stripe.charges == 1
    with pytest.raises(StripeGatewayError, match="forgotten") as error:
        charge(visa, key="two", ours="invoice-8-1", begun_at=old)
    assert (error.value.retry, error.value.spent, stripe.charges) == (True, True, 1)


def test_what_came_in_is_what_is_said(stripe: StripeDesk, visa: CardOnFile) -> None:
    facts = charge(visa)
    stripe.books.objects[facts.intent]["amount_received"] = 5000
    assert card_charges.look_at_charge(facts.intent).amount_minor == 5000


def test_a_failed_3_d_secure_is_its_owners(stripe: StripeDesk, visa: CardOnFile) -> None:
    stripe.change(visa, number="4000000000000341")
    intent = stripe.books.objects[charge(visa).intent]
    intent["last_payment_error"] = {"code": "payment_intent_authentication_failure", "type": "card_error"}
    assert card_charges.look_at_charge(intent["id"]).state is ChargeState.NEEDS_OWNER


def test_what_our_key_may_not_do_is_raised(stripe: StripeDesk, visa: CardOnFile) -> None:
    stripe.fail(CREATE, "refused", code="amount_too_small")
    with pytest.raises(StripeGatewayError) as error:
        charge(visa)
    assert (error.value.retry, error.value.code) == (False, "amount_too_small")


def test_one_that_is_under_way_is_no_decline(stripe: StripeDesk, visa: CardOnFile) -> None:
    facts = charge(visa)
    stripe.books.objects[facts.intent]["status"] = "processing"
    assert card_charges.look_at_charge(facts.intent).state is ChargeState.UNDER_WAY
    stripe.books.objects[facts.intent]["status"] = "canceled"
    assert card_charges.look_at_charge(facts.intent).state is ChargeState.DECLINED


def test_one_that_was_not_paid_is_ended(stripe: StripeDesk, visa: CardOnFile) -> None:
    paid = charge(visa)
    assert card_charges.end_charge(paid.intent) == paid
    stripe.change(visa, number="4000002760003184")
    waits = charge(visa)
    assert waits.state is ChargeState.NEEDS_OWNER
    for _ in range(2):
        ended = card_charges.end_charge(waits.intent)
        assert (ended.state, ended.reason) == (ChargeState.DECLINED, declines.ENDED)
    assert stripe.charges == 1


def test_a_customer_who_is_another_one_there_keeps_what_was_charged(
    stripe: StripeDesk, visa: CardOnFile
) -> None:
    charge(visa)
    StripeCustomer.objects.get().forget()
    found = find(visa)
    assert found
    assert found.state is ChargeState.PAID
