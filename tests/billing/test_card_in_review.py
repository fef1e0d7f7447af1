"""Paid by card while the order is in review: it starts once it is cleared, and nothing is charged or sent back twice."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Notice, User
from billing import card_payments
from billing.models import CardRefund, FraudCheck, Order, OrderConflict
from tests.billing.conftest import check, fresh
from tests.billing.stripe_desk import StripeDesk, mails


@pytest.fixture
def paid_in_review(fraudrecord: Any, stripe: StripeDesk, ordered: Callable[..., Order], alice: User) -> Order:
    """A check that could not be made sent it to staff while somebody paid."""
    order = check(ordered())
    url = card_payments.pay_by_card(order, by=alice)
    FraudCheck.objects.filter(order=order).update(
        outcome="outage", next_ask_at=timezone.now(), count=None, value=None, reliability=None
    )
    stripe.pay(url)
    card_payments.learn_payment(order)
    order = fresh(order)
    assert (order.status, order.paid_minor) == ("review", 5900)
    return order


def test_paid_in_review_starts_when_the_check_clears_it(paid_in_review: Order) -> None:
    assert check(paid_in_review).status == "active"
    assert Notice.objects.filter(kind="order.active").count() == 1


@pytest.mark.odd_rows
def test_nothing_is_charged_for_what_is_paid(stripe: StripeDesk, paid_in_review: Order, alice: User) -> None:
    FraudCheck.objects.update(outcome="exempt", next_ask_at=None)
    with pytest.raises(OrderConflict, match="the whole sum is in"):
        card_payments.pay_by_card(fresh(paid_in_review), by=alice)
    assert len(stripe.sessions()) == 1


# Twice by card, for an order in review


@pytest.fixture
def twice_paid(stripe: StripeDesk, fraudrecord: Any, ordered: Callable[..., Order], alice: User) -> Order:
    order = check(ordered())
    url = card_payments.pay_by_card(order, by=alice)
    order.messages.create(kind="answer", text="By the way", by=alice)
    stripe.pay(url)
    card_payments.learn_payment(order)
    receive(order, "pi_second")
    return fresh(order)


def receive(order: Order, intent: str) -> None:
    fresh(order).receive_card_payment(intent=intent, card="Visa 4242", amount_minor=5900, currency="USD")


def test_no_more_goes_back_than_came_in(twice_paid: Order) -> None:
    CardRefund.objects.update(failed_at=timezone.now())
    receive(twice_paid, "pi_third")
    third = CardRefund.objects.get(payment__reference="pi_third")
    assert third.amount_minor == 5900


def test_the_mail_of_an_end_names_what_was_kept(twice_paid: Order, sam: User) -> None:
    """The second payment goes back by itself, whatever becomes of the order."""
    twice_paid.reject("", by=sam)
    [told] = mails("order.rejected")
    assert "59.00 USD had come in for it. We send that back." in told.body
