"""Issuing invoices and credit notes."""

import logging
from datetime import date
from typing import TYPE_CHECKING

import msgspec
from django.conf import settings
from django.db.models import Q, Sum
from django.utils import timezone
from msgspec import structs

from accounts import audit, notices
from billing import ledger
from billing.invoice_document import InvoiceDocument, Line, Party, TaxTotal
from billing.models.billing_details import ADDRESS, BillingDetails, VatState, details_of
from billing.models.invoice import Invoice, InvoiceKind, next_number
from billing.models.sale import Sale
from billing.models.status import OrderStatus
from billing.money import part_of
from billing.tax import Split, TaxKind, split_lines

if TYPE_CHECKING:
    from billing.models.order import Order

logger = logging.getLogger(__name__)


def issue_invoice(sale: Sale) -> Invoice:
    """The invoice of a sale, issued now unless it has one that was not taken back. The sale's row is locked."""
    found = sale.invoice
    if found and not found.is_taken_back:
        return found
    invoice = _issue_to(details_of(sale.customer), sale, edition=found.edition + 1 if found else 1)
    post_all(sale, invoice)
    return invoice


def issue_first(sale: Sale, details: BillingDetails) -> Invoice:
    """The same of what this unit of work itself has sold, to whom these details are of: there can be no other invoice,
    and no money to post.
    """
    return _issue_to(details, sale, edition=1)


def _issue_to(details: BillingDetails, sale: Sale, *, edition: int) -> Invoice:
    taxed = sale.taxed
    number, today = next_number(InvoiceKind.INVOICE)
    rate, words, note = f"{sale.tax_rate:f}", "", ""
    if taxed:
        words, note = taxed.decision.words, taxed.decision.note
    net, tax = sale.amount_minor, sale.tax_minor
    document = InvoiceDocument(
        number=number,
        kind="invoice",
        issued_on=today,
        due_on=sale.due_on(today),
        currency=sale.currency,
        seller=seller(),
        buyer=_buyer(details, sale.payer_email),
        reference=", ".join(filter(None, [sale.reference, details.reference])),
        lines=_lines(sale, rate),
        taxes=(TaxTotal(label=words, rate=rate, net_minor=net, tax_minor=tax),) if sale.tax_rate else (),
        net_minor=net,
        tax_minor=tax,
        total_minor=sale.total_minor,
        notes=(note,) if note else (),
    )
    return _issue(document, sale, edition=edition)


def _lines(sale: Sale, rate: str) -> tuple[Line, ...]:
    """What was sold, and below it days that nobody had paid, and what a coupon takes off. Their taxes sum up to that of the
    sale.
    """
    parts = [(sale.title, *(sale.covers or (None, None)), sale.list_minor)]
    if unpaid := sale.unpaid_days:
        parts.append(("Days that were used and not paid", unpaid.from_on, unpaid.last_on, unpaid.net_minor))
    if sale.discount_minor:
        parts.append((str(sale.coupon_use), None, None, -sale.discount_minor))
    split_up = split_lines([net for *_, net in parts], sale.tax_rate)
    return tuple(
        Line(
            text=text,
            from_on=from_on,
            until_on=last_on,
            net_minor=line.net,
            tax_rate=rate,
            tax_minor=line.tax,
        )
        for (text, from_on, last_on, _), line in zip(parts, split_up, strict=True)
    )


def post_all(sale: Sale, invoice: Invoice | None) -> None:
    """What came in and went back for a sale with this invoice, as far as that is not posted."""
    for payment in sale.payments.all():
        due = ledger.open_of(invoice.pk) if invoice else 0
        ledger.post_payment(payment, invoice, min(payment.kept_minor, due))
        for refund in payment.card_refunds.all():
            if refund.sent_at and not refund.failed_at:
                ledger.post_card_refund(refund)
    for sent in sale.sent_back_by_staff:
        ledger.post_refund(sent)


def issue_anew(sale: Sale) -> None:
    """What it costs has changed before anything was paid: its invoice is taken back, and another issued. The sale's row is
    locked.
    """
    if invoice := sale.invoice:
        credit(invoice)
        issue_invoice(sale)


def is_out_of_date(sale: Sale) -> bool:
    """Whether the invoice of a business that owes the tax itself names another VAT id than it has now."""
    if sale.tax_kind != TaxKind.REVERSE_CHARGE or not (invoice := sale.invoice):
        return False
    return invoice.said.buyer.vat_id != details_of(sale.customer).vat_id


def credit(invoice: Invoice, amount_minor: int | None = None) -> Invoice | None:
    """A credit note over a part of an invoice, or over all that is left of it; None where nothing is. What had paid that
    is the customer's again. The sale's row is locked.
    """
    said, left = InvoiceDocument.from_json(invoice.document), _left_of(invoice)
    total = left.total if amount_minor is None else min(amount_minor, left.total)
    if total <= 0:
        return None
    number, today = next_number(InvoiceKind.CREDIT_NOTE)
    note = _issue(
        structs.replace(
            said if total == said.total_minor else _part_of(said, _share(said, left, total)),
            number=number,
            kind="credit_note",
            corrects=invoice.number,
            issued_on=today,
            due_on=None,
        ),
        invoice.sale,
        edition=invoice.sale.invoices.filter(kind=InvoiceKind.CREDIT_NOTE).count() + 1,
        corrects=invoice,
    )
    ledger.post_release(note)
    for known in ("credited_minor", "open_minor"):
        invoice.__dict__.pop(known, None)
    return note


def _left_of(invoice: Invoice) -> Split:
    """What credit notes have not taken back."""
    sums = invoice.credit_notes.aggregate(net=Sum("net_minor", default=0), tax=Sum("tax_minor", default=0))
    return Split(invoice.net_minor - sums["net"], invoice.tax_minor - sums["tax"])


def _share(said: InvoiceDocument, left: Split, total: int) -> Split:
    """A part of what is left with the tax in it, to the minor unit."""
    tax = part_of(said.tax_minor, total, said.total_minor)
    tax = max(min(tax, left.tax), total - left.net)
    return Split(total - tax, tax)


def _part_of(said: InvoiceDocument, part: Split) -> InvoiceDocument:
    """An invoice has one rate, and so has its part."""
    line = Line(
        text=f"Part of {said.number}", net_minor=part.net, tax_rate=said.lines[0].tax_rate, tax_minor=part.tax
    )
    taxes = tuple(structs.replace(tax, net_minor=part.net, tax_minor=part.tax) for tax in said.taxes)
    return structs.replace(
        said, lines=(line,), taxes=taxes, net_minor=part.net, tax_minor=part.tax, total_minor=part.total
    )


def catch_up() -> int:
    """Issue and post what is missing: of before there were invoices, or written by a program of that time. How many
    orders were seen to.
    """
    from billing.models.order import Order

    paid = Q(payments__isnull=False, payments__ledger_entries=None)
    unposted = Order.objects.filter(paid).values_list("pk", flat=True)
    due = Order.objects.filter(invoices=None).in_status([OrderStatus.UNPAID, OrderStatus.ACTIVE])
    missing = sorted({*unposted, *due.values_list("pk", flat=True)})
    for order in Order.objects.filter(pk__in=missing).order_by("placed_at"):
        try:
            _catch_up(order)
        except Exception:
            logger.exception("Order %s has no invoice, or money that is not posted", order)
    return len(missing)


def _catch_up(order: "Order") -> None:
    with order._locked() as locked:
        if locked.status in (OrderStatus.UNPAID, OrderStatus.ACTIVE):
            issue_invoice(locked)
        post_all(locked, locked.invoice)
        locked._start_if_paid()


def forget(limit: int = 200) -> int:
    """Erase names and addresses in what the law wants kept no longer; how many were."""
    until = date(timezone.localdate().year - settings.INVOICE_YEARS, 1, 1)  # years end with their calendar's
    over = Invoice.objects.filter(erased_at=None, issued_on__lt=until).order_by("issued_on")[:limit]
    for invoice in over:
        buyer = Party(
            name="erased", street="", city="", postcode="", country=invoice.document["buyer"]["country"]
        )
        document = {**invoice.document, "buyer": msgspec.to_builtins(buyer), "reference": ""}
        Invoice.objects.filter(pk=invoice.pk, erased_at=None).update(
            document=document, erased_at=timezone.now()
        )
    return len(over)


def seller() -> Party:
    """Who issues invoices, from the settings."""
    return Party(
        name=settings.SELLER_NAME,
        street=settings.SELLER_STREET,
        city=settings.SELLER_CITY,
        postcode=settings.SELLER_POSTCODE,
        country=settings.SELLER_COUNTRY,
        vat_id=settings.SELLER_VAT_ID,
    )


def _buyer(details: BillingDetails, email: str) -> Party:
    return Party(
        **{field: getattr(details, field) for field in ADDRESS},
        vat_id="" if details.vat_state == VatState.INVALID else details.vat_id,
        email=email,
    )


def _issue(
    document: InvoiceDocument, sale: Sale, *, edition: int, corrects: Invoice | None = None
) -> Invoice:
    """Keep it, post what it says, write it down, and mail it."""
    invoice: Invoice = sale.invoices.create(
        number=document.number,
        kind=document.kind,
        edition=edition,
        customer=sale.customer,
        corrects=corrects,
        issued_on=document.issued_on,
        due_on=document.due_on,
        currency=document.currency,
        net_minor=document.net_minor,
        tax_minor=document.tax_minor,
        total_minor=document.total_minor,
        document=document.to_json(),
    )
    ledger.post_document(invoice)
    action = "invoice.credit" if corrects else "invoice.issue"
    after = {"total": invoice.total, **({"corrects": corrects.number} if corrects else {})}
    audit.record(action, by=None, customer=sale.customer, subject=invoice.number, after=after)
    notices.send_notice(
        "renewal.coming" if invoice.renewal and not corrects else "invoice.issued", invoice.pk
    )
    if invoice.edition == 1:  # the addresses were named by the customer, and nobody there has said yes
        notices.send_notice("invoice.copied", invoice.pk)
    return invoice
