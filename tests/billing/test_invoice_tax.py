"""What an invoice says of tax, and what becomes of it when the tax is decided anew."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from accounts.models import User
from billing.invoice_document import InvoiceDocument
from billing.models import BillingDetails, Invoice, InvoiceKind, InvoiceStatus, Order
from billing.models.billing_details import change_details
from billing.models.sale import EDITIONS
from billing.screening import check_order
from billing.taxing import tax_open_sales_anew
from foundation.unit_of_work import unit_of_work
from tests.billing.conftest import fresh, pay
from tests.billing.stripe_desk import mails

DETAILS = {
    "name": "Anna Example", "company": "Example SARL", "street": "1 Rue Longue", "city": "Paris", "region": "",
    "postcode": "75001", "country": "FR", "reference": "PO 7", "recipients": ["books@example.test"],
    "vat_id": "FR40303265045",
}  # fmt: skip


@pytest.fixture
def taxed(ordered: Any, sam: User, settings: Any) -> Order:
    """An order from Germany that is to be paid, with German tax."""
    settings.TAX, settings.SELLER_COUNTRY, settings.SELLER_VAT_ID = True, "DE", "DE136695976"
    settings.FRAUDRECORD_API_KEY = ""
    order = ordered()
    check_order(order.pk)
    fresh(order).approve("", by=sam)
    return fresh(order)


def said(invoice: Invoice | None) -> InvoiceDocument:
    assert invoice
    return InvoiceDocument.from_json(invoice.document)


def test_works(taxed: Order, sam: User) -> None:
    document = said(taxed.invoice)
    assert (document.net_minor, document.tax_minor, document.total_minor) == (5900, 1121, 7021)
    assert [(tax.label, tax.rate, tax.tax_minor) for tax in document.taxes] == [("VAT 19%", "19", 1121)]
    assert document.seller.vat_id == "DE136695976"
    pay(taxed, "70.21", by=sam)
    assert fresh(taxed).status == "active"
    assert Invoice.objects.get().status == InvoiceStatus.PAID


def test_another_tax_is_another_invoice(taxed: Order, alice: User, sam: User) -> None:
    before = taxed.invoice
    change_details(taxed.customer, DETAILS, by=alice)
    invoice = fresh(taxed).invoice
    assert invoice
    assert invoice != before
    document = said(invoice)
    assert (document.tax_minor, document.total_minor, document.taxes) == (0, 5900, ())
    assert document.notes[0].startswith("Reverse charge")
    assert (document.buyer.vat_id, document.buyer.city, document.reference) == (
        "FR40303265045",
        "Paris",
        f"Order {taxed.number}, PO 7",
    )
    [note] = Invoice.objects.filter(kind=InvoiceKind.CREDIT_NOTE)
    assert note.corrects == before
    assert said(note).tax_minor == 1121
    pay(taxed, "59.00", by=sam)
    assert fresh(taxed).status == "active"


def test_the_same_tax_leaves_it(taxed: Order, alice: User) -> None:
    same = DETAILS | {"country": "DE", "postcode": "53111", "city": "Bonn", "vat_id": ""}
    change_details(taxed.customer, same, by=alice)
    assert Invoice.objects.count() == 1


def test_what_was_paid_for_is_not_taxed_anew(taxed: Order, alice: User, sam: User) -> None:
    pay(taxed, "1.00", by=sam)
    change_details(taxed.customer, DETAILS, by=alice)
    assert Invoice.objects.count() == 1
    assert fresh(taxed).due_minor == 6921


def test_a_vat_id_that_is_not_valid_does_not_stand_on_it(taxed: Order, alice: User) -> None:
    change_details(taxed.customer, DETAILS, by=alice)
    BillingDetails.objects.update(
        vat_is_valid=False, vat_checked_at="2026-01-01T00:00:00Z", vat_next_ask_at=None
    )
    with unit_of_work():
        tax_open_sales_anew(taxed.customer, by=None)
    document = said(fresh(taxed).invoice)
    assert (document.buyer.vat_id, document.buyer.country, document.tax_minor) == ("", "FR", 1180)


def test_another_vat_id_is_another_invoice(taxed: Order, alice: User) -> None:
    change_details(taxed.customer, DETAILS, by=alice)
    change_details(taxed.customer, DETAILS | {"vat_id": "FR83404833048"}, by=alice)
    document = said(fresh(taxed).invoice)
    assert (document.buyer.vat_id, document.tax_minor) == ("FR83404833048", 0)


def test_it_is_issued_anew_a_few_times_only(taxed: Order, alice: User) -> None:
    for country in ("FR", "DE") * 2 + ("FR",):
        change_details(taxed.customer, DETAILS | {"country": country, "vat_id": ""}, by=alice)
    assert Invoice.objects.filter(corrects=None).count() == EDITIONS
    with pytest.raises(ValidationError, match="Write to us"):
        change_details(taxed.customer, DETAILS | {"country": "DE", "vat_id": ""}, by=alice)
    assert BillingDetails.objects.get().country == "FR"
    BillingDetails.objects.update(country="DE")
    with unit_of_work():
        tax_open_sales_anew(taxed.customer, by=None)  # what VIES answers is kept all the same
    assert Invoice.objects.filter(corrects=None).count() == EDITIONS


def test_others_get_the_first_of_an_order_alone(taxed: Order, alice: User) -> None:
    change_details(taxed.customer, DETAILS | {"country": "DE", "vat_id": ""}, by=alice)
    change_details(taxed.customer, DETAILS, by=alice)
    told, year = mails("invoice.copied"), taxed.invoice and taxed.invoice.issued_on.year
    assert [(each.to, each.subject) for each in told] == [
        (["books@example.test"], f"Invoice INV-{year}-00001: 70.21 USD"),
        (["books@example.test"], f"Credit note CN-{year}-00001: 70.21 USD"),
    ]
    assert "named you as somebody who gets its invoices" in told[0].body
    assert "/c/" not in told[0].body
    assert all("books@example.test" not in each.to for each in mails("invoice.issued"))


def test_who_has_to_pay_hears_of_the_new_sum(taxed: Order, alice: User) -> None:
    mails("order.approved")
    change_details(taxed.customer, DETAILS, by=alice)
    [told] = mails("order.approved")
    assert "59.00 USD" in told.body


def test_an_order_that_was_told_without_tax_stays_without(unpaid: Order, alice: User, settings: Any) -> None:
    settings.TAX, settings.SELLER_COUNTRY = True, "DE"
    change_details(unpaid.customer, DETAILS, by=alice)
    assert fresh(unpaid).total_minor == 5900
    assert Invoice.objects.count() == 1
