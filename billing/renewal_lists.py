"""Many renewals at once, each with all that `dunning.outlook` and `renewal_standing.what_comes` ask of it: as many queries
for many as for one.
"""

from typing import TypeVar

from django.db.models import Model, Prefetch, QuerySet

from billing.models import CardOnFile, Invoice, Renewal, RenewalCharge

Row = TypeVar("Row", bound=Model)


def for_outlook(rows: "QuerySet[Row]", renewal: str = "") -> "QuerySet[Row]":
    """With that; `renewal` leads from a row to its renewal where it is none itself."""
    to = f"{renewal}__" if renewal else ""
    cards = CardOnFile.objects.filter(is_default=True)
    invoices = Invoice.objects.with_standing().filter(corrects=None).defer("document").order_by("edition")
    known = rows.select_related(f"{to}plan", f"{to}subscription__customer", f"{to}subscription__plan")
    return known.prefetch_related(
        Prefetch(f"{to}subscription__customer__cards", cards, "default_cards"),
        Prefetch(f"{to}charges", RenewalCharge.objects.select_related("card")),
        Prefetch(f"{to}invoices", invoices),
        f"{to}payments__card_refunds",
        f"{to}steps",
    )


def know_invoice(renewal: Renewal) -> Invoice:
    """Its last invoice of those that were fetched, which it knows from then on."""
    renewal._invoice = list(renewal.invoices.all())[-1]
    return renewal._invoice
