"""An invoice as a page, with what paid it, and as PDF."""

import io
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pypdf import PdfReader

from accounts.models import Customer, User
from billing import card_payments, card_refunds
from billing.invoice_document import in_words
from billing.models import Invoice, Order
from tests.billing.conftest import fresh, pay
from tests.billing.invoiced import due_on, invoice_of
from tests.billing.stripe_desk import StripeDesk, catch_up

AsPerson = Callable[[User], Client]


def page_of(client: Client, invoice: Invoice) -> str:
    answer = client.get(invoice.get_absolute_url())
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def invoice_for(order: Order) -> Invoice:
    found = fresh(order).invoice
    assert found
    return found


def test_it_says_what_the_document_says(unpaid: Order, alice: User, as_: AsPerson) -> None:
    invoice = invoice_for(unpaid)
    html = page_of(as_(alice), invoice)
    assert 'data-status="due"' in html
    assert html.count("data-status=") == 1
    for part in (
        invoice.said.title,
        f"Due on {in_words(due_on())}",
        f"Order {unpaid.number}",
        unpaid.street,
        "59.00 USD",
        "are to be paid by",
        f'href="{unpaid.get_absolute_url()}"',
        "Nothing came in for it yet",
        f"{invoice.get_absolute_url()}pdf/",
    ):
        assert part in html, part


def test_later_changes_of_the_order_do_not_reach_it(unpaid: Order, alice: User, as_: AsPerson) -> None:
    street = unpaid.street
    Order.objects.filter(pk=unpaid.pk).update(street="Somewhere Else 1")
    html = page_of(as_(alice), invoice_for(unpaid))
    assert street in html
    assert "Somewhere Else" not in html


def test_transfers_are_listed(unpaid: Order, alice: User, sam: User, as_: AsPerson) -> None:
    pay(unpaid, "20.00", by=sam)
    html = page_of(as_(alice), invoice_for(unpaid))
    assert "Paid: bank transfer" in html
    assert "20.00 USD" in html
    assert "39.00 USD of it are to be paid" in html
    assert "sam@" not in html
    pay(fresh(unpaid), "39.00", by=sam)
    html = page_of(as_(alice), invoice_for(unpaid))
    assert 'data-status="paid"' in html
    assert "to be paid by" not in html


def test_a_card_is_named_and_what_went_back_to_it(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson
) -> None:
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice))
    catch_up()
    html = page_of(as_(alice), invoice_for(unpaid))
    card = fresh(unpaid).payments.get().card
    assert card
    assert f"Paid: card, {card}" in html
    made = stripe.send_by_hand(1000)
    assert card_refunds.look_at_refund(made["id"])
    html = page_of(as_(alice), invoice_for(unpaid))
    assert "No longer needed, by the credit note CN-" in html
    assert "-10.00 USD" in html


def test_a_credit_note_and_its_invoice_lead_to_each_other(
    unpaid: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    pay(unpaid, "20.00", by=sam)
    fresh(unpaid).cancel(by=alice)
    invoice = invoice_for(unpaid)
    note = invoice.credit_notes.get()
    html = page_of(as_(alice), invoice)
    assert 'data-status="credited"' in html
    assert f'href="{note.get_absolute_url()}"' in html
    assert f"No longer needed, by the credit note {note.number}" in html
    assert "-20.00 USD" in html
    html = page_of(as_(alice), note)
    assert 'data-status="note"' in html
    assert f'href="{invoice.get_absolute_url()}"' in html
    assert "Credited to" in html
    assert "Payments" not in html


def test_hostile_names_are_text(unpaid: Order, alice: User, as_: AsPerson) -> None:
    Order.objects.filter(pk=unpaid.pk).update(company="<script>alert(1)</script>")
    copy = fresh(unpaid)
    copy.pk, copy.number = None, "HOSTILE"
    copy._state.adding = True
    copy.submission = "another"
    copy.save()
    from billing.invoicing import issue_invoice
    from billing.models import FraudCheck

    FraudCheck.objects.create(order=copy, outcome="off", next_ask_at=None)
    html = page_of(as_(alice), issue_invoice(copy))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert" not in html


def test_the_pdf_is_a_file_that_no_proxy_keeps(unpaid: Order, alice: User, as_: AsPerson) -> None:
    invoice = invoice_for(unpaid)
    answer = as_(alice).get(f"{invoice.get_absolute_url()}pdf/")
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == f'attachment; filename="{invoice.number}.pdf"'
    assert {"private", "no-store"} <= set(answer["Cache-Control"].split(", "))
    assert answer["X-Content-Type-Options"] == "nosniff"
    text = PdfReader(io.BytesIO(answer.content)).pages[0].extract_text()
    assert invoice.number in text
    assert "59.00 USD" in text
    assert as_(alice).get(f"{invoice.get_absolute_url()}pdf/").content == answer.content


@pytest.mark.parametrize("below", ["", "pdf/"])
def test_who_may_see_it(
    acme: Customer, other: Customer, alice: User, bob: User, mallory: User, as_: AsPerson, below: str
) -> None:
    path = invoice_of(acme, alice).get_absolute_url() + below
    assert as_(bob).get(path).status_code == 200
    assert as_(mallory).get(path).status_code == 404
    assert as_(mallory).get(path.replace("/acme/", f"/{other.username}/")).status_code == 404
    assert Client().get(path).status_code == 302
    assert as_(alice).post(path).status_code == 405


@pytest.mark.parametrize("number", ["INV-2026-99999", "inv", "x" * 300])
def test_what_does_not_exist_is_not_there(acme: Customer, alice: User, as_: AsPerson, number: str) -> None:
    assert as_(alice).get(f"/c/acme/billing/invoices/{number}/").status_code == 404


@pytest.mark.parametrize("below", ["", "pdf/"])
def test_it_takes_few_queries(unpaid: Order, alice: User, sam: User, as_: AsPerson, below: str) -> None:
    for amount in ("1.00", "2.00", "3.00", "4.00", "5.00"):
        pay(fresh(unpaid), amount, by=sam)
    client, path = as_(alice), invoice_for(unpaid).get_absolute_url() + below
    client.get(path)
    with CaptureQueriesContext(connection) as queries:
        client.get(path)
    assert len(queries) <= 10, [query["sql"] for query in queries]
