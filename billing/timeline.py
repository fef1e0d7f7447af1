"""The story of an order, told from its facts: for the customer, and with names and verdicts for staff."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.models import (
    CardRefund,
    Decision,
    MessageKind,
    Order,
    OrderStatus,
    Outcome,
    Payment,
    PaymentMethod,
    Refund,
    RefundWay,
)  # fmt: skip
from billing.money import format_money


@dataclass(frozen=True)
class Step:
    """One step. `state`: done, now (it is the turn of this), todo, stop."""

    title: str
    state: str
    at: datetime | None = None
    text: str = ""


_NOW = {
    OrderStatus.CHECKING: "Automatic check",
    OrderStatus.REVIEW: "Review",
    OrderStatus.QUESTION: "Your answer",
    OrderStatus.UNPAID: "Payment",
}
_AHEAD = {
    OrderStatus.CHECKING: ("Payment", "Start of the service"),
    OrderStatus.REVIEW: ("Payment", "Start of the service"),
    OrderStatus.QUESTION: ("Payment", "Start of the service"),
    OrderStatus.UNPAID: ("Start of the service",),
}


def timeline(order: Order, *, for_staff: bool = False) -> list[Step]:
    """What happened, in order of time, then what is going on, then what is still to come."""
    status = order.status
    steps = sorted(_past(order, for_staff), key=lambda step: (step.at is None, step.at))
    if status in _NOW:
        steps.append(Step(_NOW[status], "now"))
    return steps + [Step(title, "todo") for title in _AHEAD.get(status, ())]


def _past(order: Order, for_staff: bool) -> list[Step]:
    def by(act: Any, role: str) -> str:
        """Staff read names; customers what that person is."""
        return f" by {act.by or 'whoever had the link in the mail'}" if for_staff else role

    steps = [
        Step(f"Order placed by {order.placed_by}" if for_staff else "Order placed", "done", order.placed_at)
    ]
    check = order.fraud_check
    if check.answered_at:
        outcome = check.get_outcome_display() if for_staff else ""
        checked = check.count is not None or check.outcome in (Outcome.EXEMPT, Outcome.VOUCHED)
        title = "Automatic check done" if checked else "Passed on to our staff, unchecked"
        steps.append(Step(title, "done", check.answered_at, outcome))
    for message in order.messages.all():
        asked = message.kind == MessageKind.QUESTION
        title = "Question" + by(message, " of our staff") if asked else "Answer" + by(message, " from you")
        steps.append(Step(title, "done", message.at, message.text))
    if decision := getattr(order, "decision", None):
        rejected = decision.decision == Decision.REJECT
        title = ("Rejected" if rejected else "Approved") + by(decision, " by our staff")
        text = decision.text if for_staff or rejected else ""
        steps.append(Step(title, "stop" if rejected else "done", decision.at, text))
    steps += [
        Step(
            f"First decision: {note.get_decision_display().lower()} by {note.by}", "done", note.at, note.text
        )
        for note in (order.notes.all() if for_staff else [])
        if note.decision
    ]
    for payment in order.payments.all():
        title = f"{format_money(payment.amount_minor, payment.currency)} received"
        steps.append(Step(title, "done", payment.at, _how_paid(payment, for_staff)))
    steps += [
        _sent_back(refund, order, for_staff)
        for refund in order.card_refunds
        if for_staff or not refund.failed_at or order.refund_owed
    ]
    if subscription := getattr(order, "subscription", None):
        steps.append(Step("Service started", "done", subscription.started_at))
    if order.received_minor and not order.is_open:
        steps += [_recorded(refund, for_staff) for refund in order.sent_back_by_staff]
    if cancellation := getattr(order, "cancellation", None):
        steps.append(Step("Cancelled" + by(cancellation, ""), "stop", cancellation.at))
    return steps


def _how_paid(payment: Payment, for_staff: bool) -> str:
    if payment.method == PaymentMethod.CARD:
        by_card = f"By card at Stripe: {payment.card}." if payment.card else "By card at Stripe."
        return f"{by_card} {payment.reference}" if for_staff else by_card
    if not for_staff:
        return "Recorded by our bookkeeping."
    return f"Recorded by {payment.by}. {payment.get_method_display()} {payment.reference}"


def _recorded(refund: Refund, for_staff: bool) -> Step:
    text = f"Reference {refund.reference}" if for_staff else ""
    how = "taken back by the bank of the card" if refund.way == RefundWay.DISPUTE else "sent back"
    return Step(f"{format_money(refund.amount_minor, refund.currency)} {how}", "done", refund.at, text)


def _sent_back(refund: CardRefund, order: Order, for_staff: bool) -> Step:
    """Money on its way back to a card, or there. Where it did not get there, what is owed now says what is to be done:
    Stripe may have sent it because of somebody else.
    """
    why = f"{refund.get_reason_display()}."
    if refund.failed_at:
        owed = order.refund_owed
        todo = f"Send {owed} in another way, and record that." if owed else "Nothing is owed."
        text = f"{why} {refund.problem} {todo}" if for_staff else f"{why} We see to it."
        return Step(f"{refund.amount} could not go back to the card", "stop", refund.failed_at, text)
    if refund.sent_at:
        text = f"{why} {refund.refund}" if for_staff else f"{why} Banks take 5 to 10 days to show it."
        return Step(f"{refund.amount} sent back to the card", "done", refund.sent_at, text)
    text = f"{why} {refund.problem}" if for_staff else why
    return Step(f"{refund.amount} goes back to the card", "done", refund.at, text.strip())
