"""What paid an invoice, and what of that went back, in words for its page."""

from datetime import datetime
from typing import NamedTuple

from billing.models.invoice import Invoice
from billing.models.ledger import EntryKind, LedgerEntry
from billing.models.payment import Payment
from billing.money import format_money

A_PAGE = 100


class Movement(NamedTuple):
    """`amount` is below zero for what does not pay the invoice any more."""

    at: datetime
    words: str
    amount: str


def movements(invoice: Invoice) -> list[Movement]:
    """By the ledger, oldest first."""
    entries = invoice.ledger_entries.filter(kind__in=[EntryKind.SETTLE, EntryKind.RELEASE]).order_by("id")
    found = entries.select_related("payment", "card_refund__payment", "document")[:A_PAGE]
    return [_movement(entry) for entry in found]


def _movement(entry: LedgerEntry) -> Movement:
    sign = -1 if entry.kind == EntryKind.RELEASE else 1
    return Movement(entry.at, _words(entry), format_money(sign * entry.amount_minor, entry.currency))


def _words(entry: LedgerEntry) -> str:
    if entry.payment:
        return f"Paid: {way_of(entry.payment)}"
    if refund := entry.card_refund:
        way = way_of(refund.payment)
        return f"Sent back: {way}" if entry.kind == EntryKind.RELEASE else f"Could not be sent back: {way}"
    if entry.document:
        return f"No longer needed, by the credit note {entry.document.number}"
    return str(entry.get_kind_display())


def way_of(payment: Payment) -> str:
    """How it came: "card, Visa 4242"."""
    method = str(payment.get_method_display()).lower()
    return f"{method}, {payment.card}" if payment.card else method
