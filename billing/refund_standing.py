"""What staff sent back, and how it goes, in words for pages."""

from datetime import datetime
from typing import NamedTuple

from billing.models import CardRefund, Refund, RefundWay, Sale

A_PAGE = 100


class RefundWords(NamedTuple):
    """`how` says where it goes and how far it is: sentences. `reason` is empty of what an order did not need."""

    at: datetime
    amount: str
    how: str
    reason: str


def refund_words(sale: Sale, *, for_staff: bool = False) -> list[RefundWords]:
    """Oldest first, in two queries at most."""
    found = sale.refunds.order_by("at").prefetch_related("card_refunds__payment")[:A_PAGE]
    return [RefundWords(each.at, each.amount, _how(each, for_staff), each.reason) for each in found]


def _how(refund: Refund, for_staff: bool) -> str:
    if refund.way == RefundWay.CARD:
        return " ".join(_to_card(each, for_staff) for each in refund.card_refunds.all())
    way = str(refund.get_way_display())
    if refund.way == RefundWay.DISPUTE:
        return f"{way}."
    words = "Sent another way" if refund.way == RefundWay.OTHER else f"Sent by {way.lower()}"
    return f"{words}, reference {refund.reference}." if refund.reference else f"{words}."


def _to_card(refund: CardRefund, for_staff: bool) -> str:
    card = refund.payment.card or "the card"
    if refund.failed_at:
        why = f" {refund.problem}" if for_staff else " We see to it."
        return f"{refund.amount} could not go back to {card}.{why}"
    if refund.sent_at:
        return f"{refund.amount} sent back to {card}. Banks take 5 to 10 days to show it."
    return f"{refund.amount} on the way to {card}."
