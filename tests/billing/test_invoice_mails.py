"""The mail with an invoice or a credit note: sent once, to those who may order, with the PDF."""

from typing import Any

from django.core import mail

from accounts import notices
from accounts.models import Notice, Role, User
from billing.invoice_pdf import invoice_pdf
from billing.invoicing import issue_invoice
from billing.models import Invoice, Order
from tests.billing.conftest import fresh, pay


def sent(invoice: Invoice) -> mail.EmailMessage:
    """Deliver the one mail that is owed about it."""
    notice = Notice.objects.get(kind="invoice.issued", subject_id=str(invoice.pk))
    mail.outbox.clear()
    assert notices.deliver(notice.pk)
    (message,) = mail.outbox
    return message


def test_an_invoice_goes_along_as_pdf(unpaid: Order, settings: Any) -> None:
    settings.PANEL_URL = "https://panel.example"
    invoice = Invoice.objects.get()
    message = sent(invoice)
    assert message.subject == f"Invoice {invoice.number}: 59.00 USD"
    assert message.to == ["alice@example.test"]
    (attached,) = message.attachments
    assert attached == (f"{invoice.number}.pdf", invoice_pdf(invoice.said), "application/pdf")
    for text in (message.body, message.alternatives[0][0]):
        assert invoice.status_words in text
        assert f"https://panel.example{invoice.get_absolute_url()}" in text
        assert "How to pay" in text


def test_what_is_paid_says_so(unpaid: Order, sam: User) -> None:
    pay(unpaid, "59.00", by=sam)
    message = sent(Invoice.objects.get())
    assert "There is nothing to pay." in message.body
    assert "State: Paid" in message.body


def test_a_credit_note_says_what_it_takes_back(unpaid: Order, alice: User) -> None:
    unpaid.cancel(by=alice)
    note = Invoice.objects.get(kind="credit_note")
    message = sent(note)
    assert message.subject == f"Credit note {note.number}: 59.00 USD"
    assert note.corrects
    assert f"takes back 59.00 USD of the invoice {note.corrects.number}" in message.body
    assert "There is nothing to pay." in message.body


def test_only_who_may_order_gets_it(unpaid: Order, bob: User, carol: User) -> None:
    unpaid.customer.memberships.create(user=bob, role=Role.READER)
    unpaid.customer.memberships.create(user=carol, role=Role.BILLING)
    assert sent(Invoice.objects.get()).to == ["alice@example.test", "carol@example.test"]


def test_it_is_owed_once(unpaid: Order) -> None:
    issue_invoice(fresh(unpaid))
    assert Notice.objects.filter(kind="invoice.issued").count() == 1
