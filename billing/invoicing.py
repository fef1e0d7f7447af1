"""Issuing invoices and credit notes."""

from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec
from django.conf import settings
from django.utils import timezone

from accounts import audit, notices
from billing import ledger
from billing.invoice_document import InvoiceDocument, Line, Party, TaxTotal
from billing.models.billing_details import ADDRESS, BillingDetails, VatState, details_of
from billing.models.invoice import Invoice, InvoiceKind, next_number
from billing.models.status import OrderStatus

if TYPE_CHECKING:
    from billing.models.order import Order


def issue_invoice(order: "Order") -> Invoice:
    """The invoice of an order, issued now unless it has one that was not taken back. The order's row is locked."""
    found = order.invoice
    if found and not found.credit_notes.exists():
        return found
    today, details, taxed = timezone.localdate(), details_of(order.customer), order.taxed
    text = f"{order.plan.name}, {order.get_period_display().lower()}"
    rate, words, note = f"{order.tax_rate:f}", "", ""
    if taxed:
        words, note = taxed.decision.words, taxed.decision.note
    net, tax = order.amount_minor, order.tax_minor
    document = InvoiceDocument(
        number=next_number(InvoiceKind.INVOICE, today),
        kind="invoice",
        issued_on=today,
        due_on=today + timedelta(days=settings.INVOICE_DUE_DAYS),
        currency=order.currency,
        seller=seller(),
        buyer=_buyer(details, order.email),
        reference=details.reference or f"Order {order.number}",
        lines=(Line(text=text, net_minor=net, tax_rate=rate, tax_minor=tax),),
        taxes=(TaxTotal(label=words, rate=rate, net_minor=net, tax_minor=tax),) if order.tax_rate else (),
        net_minor=net,
        tax_minor=tax,
        total_minor=order.total_minor,
        notes=(note,) if note else (),
    )
    return _issue(document, order)


def issue_anew(order: "Order") -> None:
    """What the order costs has changed before anything was paid: its invoice is taken back, and another issued. The
    order's row is locked.
    """
    if invoice := order.invoice:
        credit(invoice)
        issue_invoice(order)


def credit(invoice: Invoice) -> Invoice | None:
    """A credit note over all of an invoice; None where it was taken back before. What had paid it is the customer's
    again. The order's row is locked.
    """
    if invoice.credit_notes.exists():
        return None
    today, said = timezone.localdate(), InvoiceDocument.from_json(invoice.document)
    document = InvoiceDocument(
        number=next_number(InvoiceKind.CREDIT_NOTE, today),
        kind="credit_note",
        corrects=invoice.number,
        issued_on=today,
        currency=said.currency,
        seller=said.seller,
        buyer=said.buyer,
        reference=said.reference,
        lines=said.lines,
        taxes=said.taxes,
        net_minor=said.net_minor,
        tax_minor=said.tax_minor,
        total_minor=said.total_minor,
        notes=said.notes,
    )
    note = _issue(document, invoice.order, invoice)
    ledger.post_release(note)
    return note


def catch_up(limit: int = 200) -> int:
    """Issue what is missing: for orders of before there were invoices, with the payments that came in for them. How many
    were issued.
    """
    from billing.models.order import Order

    missing = Order.objects.filter(invoices=None).in_status([OrderStatus.UNPAID, OrderStatus.ACTIVE])
    issued = 0
    for order in missing[:limit]:
        with order._locked() as locked:
            if locked.invoice is None and locked.status in (OrderStatus.UNPAID, OrderStatus.ACTIVE):
                _post_all(locked, issue_invoice(locked))
                issued += 1
    return issued


def forget(limit: int = 200) -> int:
    """Erase names and addresses in what the law wants kept no longer; how many were."""
    until = date(timezone.localdate().year - settings.INVOICE_YEARS, 1, 1)  # years end with their calendar's
    over = Invoice.objects.filter(erased_at=None, issued_on__lt=until).order_by("issued_on")[:limit]
    nobody = msgspec.to_builtins(Party(name="erased", street="", city="", postcode="", country=""))
    for invoice in over:
        document = {**invoice.document, "buyer": nobody, "reference": ""}
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


def _post_all(order: "Order", invoice: Invoice) -> None:
    """What came in and went back before the invoice."""
    for payment in order.payments.all():
        ledger.post_payment(
            payment, invoice, min(payment.kept_minor, ledger.open_of([invoice.pk])[invoice.pk])
        )
    for refund in order.card_refunds:
        if refund.sent_at and not refund.failed_at:
            ledger.post_card_refund(refund)
    for sent in order.refunds.all():
        ledger.post_refund(sent)


def _buyer(details: BillingDetails, email: str) -> Party:
    return Party(
        **{field: getattr(details, field) for field in ADDRESS},
        vat_id="" if details.vat_state == VatState.INVALID else details.vat_id,
        email=email,
    )


def _issue(document: InvoiceDocument, order: "Order", corrects: Invoice | None = None) -> Invoice:
    """Keep it, post what it says, write it down, and mail it."""
    invoice = Invoice.objects.create(
        number=document.number,
        kind=document.kind,
        edition=order.invoices.filter(kind=document.kind).count() + 1,
        customer=order.customer,
        order=order,
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
    audit.record(action, by=None, customer=order.customer, subject=invoice.number, after=after)
    notices.send_notice("invoice.issued", invoice.pk)
    return invoice
