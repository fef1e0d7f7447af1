"""All invoices of a year as one ZIP, drawn while it is sent."""

import io
from collections.abc import Callable
from zipfile import ZipFile

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.utils import timezone

from accounts.models import Customer, User
from billing import invoice_pdf
from billing.models import Order
from billing.zip_stream import zip_stream
from tests.billing.invoiced import invoice_of, invoices_of

AsPerson = Callable[[User], Client]


def year() -> int:
    return timezone.localdate().year


def path() -> str:
    return f"/c/acme/billing/invoices/{year()}.zip"


def opened(answer: HttpResponseBase) -> ZipFile:
    return ZipFile(io.BytesIO(b"".join(answer.streaming_content)))  # type: ignore[attr-defined]


def test_it_holds_the_pdf_of_each(acme: Customer, alice: User, as_: AsPerson) -> None:
    made = invoices_of(acme, alice, 3)
    answer = as_(alice).get(path())
    assert answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"] == f'attachment; filename="acme-invoices-{year()}.zip"'
    assert {"private", "no-store"} <= set(answer["Cache-Control"].split(", "))
    found = opened(answer)
    assert found.testzip() is None
    assert found.namelist() == [f"{invoice.number}.pdf" for invoice in made]
    for invoice in made:
        assert found.read(f"{invoice.number}.pdf") == invoice_pdf.invoice_pdf(invoice.said)


def test_credit_notes_are_in_it(unpaid: Order, alice: User, as_: AsPerson) -> None:
    unpaid.cancel(by=alice)
    answer = as_(alice).get(f"/c/{unpaid.customer.username}/billing/invoices/{year()}.zip")
    assert [name[:2] for name in opened(answer).namelist()] == ["IN", "CN"]


def test_no_more_than_one_is_in_memory(
    acme: Customer, alice: User, as_: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoices_of(acme, alice, 3)
    drawn = []
    monkeypatch.setattr("billing.invoice_pdf.invoice_pdf", lambda said: drawn.append(said) or b"%PDF-")
    pieces = as_(alice).get(path()).streaming_content  # type: ignore[attr-defined]
    assert not drawn
    for count in (1, 2, 3):
        assert next(pieces)
        assert len(drawn) == count


def test_a_year_with_too_many_says_so(
    acme: Customer, alice: User, as_: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.invoice_views.A_YEAR", 2)
    invoices_of(acme, alice, 3)
    answer = as_(alice).get(path(), follow=True)
    assert answer.redirect_chain == [("/c/acme/billing/invoices/", 302)]
    assert f"{year()} has 3 documents, and one file takes 2 at most." in answer.content.decode()


@pytest.mark.parametrize("year", ["1999", "0000", "9999", "12345", "20261", "abcd"])
def test_a_year_without_any_is_not_there(acme: Customer, alice: User, as_: AsPerson, year: str) -> None:
    invoice_of(acme, alice)
    assert as_(alice).get(f"/c/acme/billing/invoices/{year}.zip").status_code == 404


def test_who_may_fetch_it(
    acme: Customer, other: Customer, alice: User, bob: User, mallory: User, as_: AsPerson
) -> None:
    invoice_of(acme, alice)
    assert as_(bob).get(path()).status_code == 200
    assert as_(mallory).get(path()).status_code == 404
    assert as_(mallory).get(path().replace("/acme/", f"/{other.username}/")).status_code == 404
    assert Client().get(path()).status_code == 302
    assert as_(alice).post(path()).status_code == 405


def test_a_stream_is_a_zip_and_the_same_each_time() -> None:
    on = timezone.localdate()
    files = [("a.pdf", on, b"one"), ("b.pdf", on, b"two" * 1000)]
    once, twice = (b"".join(zip_stream(files)) for _ in range(2))
    assert once == twice
    assert ZipFile(io.BytesIO(once)).read("b.pdf") == b"two" * 1000
    assert ZipFile(io.BytesIO(b"".join(zip_stream([])))).namelist() == []
