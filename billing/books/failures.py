"""Charges of renewals that brought nothing, each with what comes next of it."""

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from billing.dunning import outlook
from billing.models import ChargeState, Renewal, RenewalCharge
from billing.money import exact_amount
from billing.renewal_lists import for_outlook, know_invoice
from billing.renewal_standing import what_comes

FAILED = (ChargeState.DECLINED, ChargeState.NEEDS_OWNER)
COLUMNS = (
    "time", "customer", "invoice", "attempt", "card", "amount_minor", "amount", "currency", "state", "reason", "next",
)  # fmt: skip


def failed_charges(standing: str, **at: Any) -> "QuerySet[RenewalCharge]":
    """Newest first, with all that is shown of each; of renewals that are to be paid (`open`), or of `all`."""
    charges = (
        RenewalCharge.objects.filter(state__in=FAILED, **at).select_related("card").order_by("-at", "-pk")
    )
    if standing == "open":
        charges = charges.filter(renewal__settled_at=None)
    return for_outlook(charges, "renewal")


def next_of(renewal: Renewal) -> str:
    """What comes next, in sentences."""
    know_invoice(renewal)
    if renewal.is_open:
        return " ".join(what_comes(renewal, outlook(renewal)))
    return "Taken back." if renewal.is_over else "Paid meanwhile."


def lines(charges: "QuerySet[RenewalCharge]") -> Iterator[list[Any]]:
    """Of a file: see `COLUMNS`."""
    for charge in charges.iterator(chunk_size=500):
        comes = next_of(charge.renewal)
        yield [
            charge.at.isoformat(timespec="seconds"), charge.renewal.customer.username, charge.renewal.label,
            charge.number, str(charge.card), charge.amount_minor, exact_amount(charge.amount_minor, charge.currency),
            charge.currency, charge.state, charge.reason, comes,
        ]  # fmt: skip
