"""When an invoice is issued, what it says, how it is numbered, and what takes it back."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import AuditEntry, User
from billing import invoicing, screening
from billing.invoice_document import InvoiceDocument
from billing.models import Invoice, InvoiceKind, InvoiceSeries, InvoiceStatus, LedgerEntry, Order, Payment
from billing.models.invoice import next_number
from deploy.fraudrecord import Server
from foundation.unit_of_work import unit_of_work
from tests.billing.conftest import fresh, pay

AT_ONCE = 30


def test_an_approved_order_has_an_invoice(in_review: Order, sam: User, settings: Any) -> None:
    settings.SELLER_NAME, settings.SELLER_CITY, settings.SELLER_COUNTRY = "Mail & Co", "Bonn", "DE"
    assert not Invoice.objects.exists()
    in_review.approve("", by=sam)
    invoice = Invoice.objects.get()
    today = timezone.localdate()
    assert invoice.number == f"INV-{today.year}-00001"
    assert (invoice.customer, invoice.order) == (in_review.customer, in_review)
    assert (invoice.total_minor, invoice.currency, invoice.status) == (5900, "USD", InvoiceStatus.DUE)
    said = InvoiceDocument.from_json(invoice.document)
    assert (said.number, said.issued_on, said.due_on) == (invoice.number, today, today + timedelta(days=14))
    assert (said.seller.name, said.buyer.name, said.buyer.country) == ("Mail & Co", "Anna Example", "DE")
    assert [(line.text, line.net_minor) for line in said.lines] == [("10 GB, yearly", 5900)]
    assert AuditEntry.objects.get(action="invoice.issue").subject == invoice.number


def test_one_that_nobody_has_to_look_at_has_one_too(
    fraudrecord: Server, ordered: Callable[..., Order]
) -> None:
    order = ordered()
    screening.check_order(order.pk)
    assert fresh(order).status == "unpaid"
    assert fresh(order).invoice


def test_it_is_issued_once(unpaid: Order, sam: User) -> None:
    with unit_of_work():
        assert invoicing.issue_invoice(fresh(unpaid)) == Invoice.objects.get()
    pay(unpaid, "59.00", by=sam)
    assert Invoice.objects.get().status == InvoiceStatus.PAID
    copy = Invoice.objects.get()
    copy.pk, copy.number, copy._state.adding = uuid4(), "INV-2026-99999", True
    with pytest.raises(IntegrityError), transaction.atomic():
        copy.save()


def test_it_keeps_what_it_said(unpaid: Order, settings: Any) -> None:
    before = Invoice.objects.get().document
    settings.SELLER_NAME = "Another"
    Order.objects.update(name="Somebody Else")
    assert Invoice.objects.get().document == before
    with pytest.raises(TypeError):
        Invoice.objects.get().save()
    with pytest.raises(TypeError):
        Invoice.objects.get().delete()


def test_a_credit_note_takes_it_back(unpaid: Order, alice: User, sam: User) -> None:
    pay(unpaid, "9.00", by=sam)
    fresh(unpaid).cancel(by=alice)
    note = Invoice.objects.get(kind=InvoiceKind.CREDIT_NOTE)
    assert note.number == f"CN-{timezone.localdate().year}-00001"
    assert note.status == InvoiceStatus.NOTE
    invoice = Invoice.objects.get(corrects=None)
    assert (note.corrects, invoice.status) == (invoice, InvoiceStatus.CREDITED)
    said = InvoiceDocument.from_json(note.document)
    assert (said.corrects, said.total_minor) == (invoice.number, 5900)
    assert AuditEntry.objects.filter(action="invoice.credit").count() == 1
    with unit_of_work():
        assert invoicing.credit(invoice) is None


def test_one_that_is_not_paid_in_time_is_overdue(unpaid: Order) -> None:
    invoice = Invoice.objects.get()
    invoice.due_on = timezone.localdate() - timedelta(days=1)
    assert invoice.status == InvoiceStatus.OVERDUE


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> list[date]:
    """What the next looks at the calendar say; the last one for good."""
    days = [date(2026, 12, 31)]

    def localdate() -> date:
        return days.pop(0) if len(days) > 1 else days[0]

    monkeypatch.setattr("billing.models.invoice.timezone.localdate", localdate)
    return days


def test_each_year_and_kind_counts_by_itself(db: None, today: list[date]) -> None:
    numbers = [next_number(kind)[0] for kind in ("invoice", "invoice", "credit_note")]
    today[:] = [date(2027, 1, 1)]
    numbers.append(next_number("invoice")[0])
    assert numbers == ["INV-2026-00001", "INV-2026-00002", "CN-2026-00001", "INV-2027-00001"]


def test_who_waits_past_midnight_gets_a_number_of_the_new_year(db: None, today: list[date]) -> None:
    today[:] = [date(2026, 12, 31), date(2027, 1, 1)]
    assert next_number("invoice") == ("INV-2027-00001", date(2027, 1, 1))
    assert InvoiceSeries.objects.get(name="INV-2026").last == 0


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_numbers_have_no_gaps_however_many_are_issued_at_once_and_fail() -> None:
    def take(which: int) -> str | None:
        try:
            with transaction.atomic():
                number, _ = next_number("invoice")
                if which % 3 == 0:
                    raise LookupError
                return number
        except LookupError:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        taken = [number for number in threads.map(take, range(AT_ONCE)) if number]
    assert sorted(taken) == [f"INV-{timezone.localdate().year}-{n:05d}" for n in range(1, len(taken) + 1)]
    assert len(taken) == AT_ONCE * 2 // 3


def before_invoices() -> None:
    """As if everything until now had happened before there were invoices and a ledger."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("ledgerentry", "invoice"):
            cursor.execute(f"ALTER TABLE billing_{table} DISABLE TRIGGER USER")
            cursor.execute(f"DELETE FROM billing_{table}")  # noqa: S608 names of our own
            cursor.execute(f"ALTER TABLE billing_{table} ENABLE TRIGGER USER")


def test_what_was_paid_before_there_were_invoices_gets_one(unpaid: Order, sam: User) -> None:
    pay(unpaid, "59.00", by=sam)
    before_invoices()
    assert (invoicing.catch_up(), invoicing.catch_up()) == (1, 0)
    assert Invoice.objects.get().status == InvoiceStatus.PAID
    assert LedgerEntry.objects.count() == 3


def test_what_was_paid_in_part_before_starts_with_the_rest(unpaid: Order, sam: User) -> None:
    pay(unpaid, "20.00", by=sam)
    before_invoices()
    pay(unpaid, "39.00", by=sam, reference="R2")
    assert fresh(unpaid).status == "active"


def test_money_of_an_order_that_came_to_nothing_before_is_posted(
    unpaid: Order, alice: User, sam: User
) -> None:
    pay(unpaid, "20.00", by=sam)
    fresh(unpaid).cancel(by=alice)
    before_invoices()
    assert (invoicing.catch_up(), invoicing.catch_up()) == (1, 0)
    assert not Invoice.objects.exists()


def test_a_payment_that_a_program_of_before_recorded_is_posted(unpaid: Order, sam: User) -> None:
    Payment.objects.create(order=unpaid, method="other", amount_minor=5900, currency="USD", by=sam)
    assert invoicing.catch_up() == 1
    assert fresh(unpaid).status == "active"


def test_one_that_fails_holds_up_no_other(
    ordered: Callable[..., Order], unpaid: Order, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = ordered()
    screening.check_order(second.pk)
    fresh(second).approve("", by=sam)
    before_invoices()
    issue = invoicing.issue_invoice

    def fail_once(order: Order) -> Invoice:
        if order.pk == unpaid.pk:
            raise RuntimeError
        return issue(order)

    with monkeypatch.context() as patched:
        patched.setattr(invoicing, "issue_invoice", fail_once)
        invoicing.catch_up()
    assert [invoice.order for invoice in Invoice.objects.all()] == [second]
    assert invoicing.catch_up() == 1


def age(years: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE billing_invoice DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE billing_invoice SET issued_on = issued_on - make_interval(years => %s)", [years]
        )
        cursor.execute("ALTER TABLE billing_invoice ENABLE TRIGGER USER")


def test_names_are_erased_when_the_years_are_over(unpaid: Order) -> None:
    age(10)
    assert invoicing.forget() == 0
    age(1)
    assert (invoicing.forget(), invoicing.forget()) == (1, 0)
    said = InvoiceDocument.from_json(Invoice.objects.get().document)
    assert (said.buyer.name, said.buyer.email, said.reference) == ("erased", "", "")
    assert (said.buyer.country, said.total_minor) == ("DE", 5900)


def test_nothing_else_is_ever_written_into_one(unpaid: Order) -> None:
    age(11)
    document = Invoice.objects.get().document
    nobody = {**dict.fromkeys(document["buyer"], ""), "name": "erased", "country": "DE"}
    for buyer in ({**nobody, "name": "Another Ltd"}, {**nobody, "country": "FR"}, {"name": "erased"}):
        wrong = {**document, "reference": "", "buyer": buyer}
        with pytest.raises(IntegrityError), transaction.atomic():
            Invoice.objects.update(document=wrong, erased_at=timezone.now())
    assert Invoice.objects.update(
        document={**document, "reference": "", "buyer": nobody}, erased_at=timezone.now()
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        Invoice.objects.update(erased_at=timezone.now())
