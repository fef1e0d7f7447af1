"""How an open order stands, in words for its customer."""

from dataclasses import dataclass
from datetime import datetime

from billing import card_payments
from billing.models import MessageKind, Order, OrderStatus, Outcome


@dataclass(frozen=True)
class Standing:
    """What is going on, who acts (a role, never a name), since when, and what the customer can do."""

    what: str
    who: str
    since: datetime
    can: str


def standing(order: Order) -> Standing | None:
    """None once nothing is waited for any more: active, rejected or cancelled."""
    say = {
        OrderStatus.CHECKING: _checking,
        OrderStatus.REVIEW: _review,
        OrderStatus.QUESTION: _question,
        OrderStatus.UNPAID: _unpaid,
    }.get(order.status)
    return say(order) if say else None


def _checking(order: Order) -> Standing:
    return Standing(
        "We are checking the order: with FraudRecord, unless that is off, and by earlier orders. This takes a few seconds.",
        "A program. It can pass the order on to our staff; it never refuses one.",
        order.placed_at,
        "You need not do anything. You can cancel until the service is active.",
    )


def _review(order: Order) -> Standing:
    last = order.last_message
    if last and last.kind == MessageKind.ANSWER:
        what = "Our staff are looking at your answer, and at the order once more."
    elif order.fraud_check.outcome == Outcome.OUTAGE:
        what = "The automatic check could not be made. Our staff are looking at the order instead."
    else:
        what = "Our staff are looking at the order: at the details you gave, and what the mail is for."
    return Standing(
        what,
        "A reviewer of our staff. A person decides.",
        last.at if last else order.fraud_check.answered_at or order.placed_at,
        "You need not do anything: if we want to know something, we ask here and by mail. You can cancel until the "
        "service is active.",
    )


def _question(order: Order) -> Standing:
    last = order.last_message
    return Standing(
        "We asked you something. The review goes on when you have answered.",
        f"You, or whoever else may order for {order.customer.name}.",
        last.at if last else order.placed_at,
        "Answer below, or by the link in our mail, which works without signing in. You can also cancel.",
    )


def _unpaid(order: Order) -> Standing:
    decision = getattr(order, "decision", None)
    return Standing(
        "The order is accepted. The service starts when the whole sum is in.",
        "You. A payment by card is known at once; others our bookkeeping record when they come in."
        if card_payments.may_pay(order)
        else "You; then our bookkeeping, who record what comes in.",
        decision.at if decision else order.fraud_check.answered_at or order.placed_at,
        "Pay as said below. You can also cancel until the service is active.",
    )
