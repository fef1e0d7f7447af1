"""The list of a customer's invoices: newest first, each with its state, in pages that begin behind an invoice."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Customer, User
from billing.invoice_document import in_words
from billing.models import Order
from tests.billing.conftest import fresh, pay
from tests.billing.invoiced import due_on, invoice_of, invoices_of

AsPerson = Callable[[User], Client]
LIST = "/c/acme/billing/invoices/"


def numbers_on(html: str) -> list[str]:
    return re.findall(r">((?:INV|CN)-\d{4}-\d{5})</a>", html)


def shown(client: Client, path: str = LIST) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_newest_stands_first(acme: Customer, alice: User, as_: AsPerson) -> None:
    made = invoices_of(acme, alice, 3)
    html = shown(as_(alice))
    assert numbers_on(html) == [invoice.number for invoice in reversed(made)]
    assert "59.00 USD" in html
    assert f"Due on {in_words(due_on())}" in html
    assert f"{LIST}{timezone.localdate().year}.zip" in html


def test_an_empty_list_says_when_an_invoice_comes(acme: Customer, alice: User, as_: AsPerson) -> None:
    html = shown(as_(alice))
    assert "No invoices" in html
    assert ".zip" not in html


def test_each_state_is_in_words(
    unpaid: Order, alice: User, sam: User, as_: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/c/{unpaid.customer.username}/billing/invoices/"
    assert f"Due on {in_words(due_on())}" in shown(as_(alice), path)
    today = due_on()
    monkeypatch.setattr(timezone, "localdate", lambda *args: today)
    assert "Overdue" not in shown(as_(alice), path)  # on that day it is still in time
    today += timedelta(days=365)
    assert f"Overdue since {in_words(unpaid.invoice.due_on)}" in shown(as_(alice), path)
    monkeypatch.undo()
    pay(unpaid, "20.00", by=sam)
    assert "Due on" in shown(as_(alice), path)
    pay(fresh(unpaid), "39.00", by=sam)
    assert ">Paid<" in shown(as_(alice), path)


def test_what_was_taken_back_is_credited(unpaid: Order, alice: User, as_: AsPerson) -> None:
    unpaid.cancel(by=alice)
    html = shown(as_(alice), f"/c/{unpaid.customer.username}/billing/invoices/")
    assert ">Credited<" in html
    assert ">Credit note<" in html
    assert [number[:2] for number in numbers_on(html)] == ["CN", "IN"]


def test_long_lists_have_pages(acme: Customer, alice: User, as_: AsPerson, monkeypatch: Any) -> None:
    monkeypatch.setattr("billing.invoice_views.PAGE", 2)
    made = [invoice.number for invoice in reversed(invoices_of(acme, alice, 5))]
    client, found, path = as_(alice), [], LIST
    while path:
        html = shown(client, path)
        found += numbers_on(html)
        following = re.search(r'rel="next" href="(\?[^"]+)"', html)
        path = LIST + following[1] if following else ""
    assert found == made


@pytest.mark.parametrize("after", ["INV-1", "a%0d%0aX: y", "x" * 5000, "☃", "' OR 1=1"])
def test_a_page_that_begins_behind_nothing_is_the_first(
    acme: Customer, alice: User, as_: AsPerson, after: str
) -> None:
    made = invoice_of(acme, alice)
    assert numbers_on(shown(as_(alice), f"{LIST}?after={after}")) == [made.number]


def test_a_page_behind_an_invoice_of_others_is_the_first(
    acme: Customer, other: Customer, alice: User, mallory: User, as_: AsPerson
) -> None:
    mine = invoice_of(acme, alice)
    theirs = invoice_of(other, mallory)
    html = shown(as_(alice), f"{LIST}?after={theirs.number}")
    assert numbers_on(html) == [mine.number]


def test_it_takes_few_queries_however_many_there_are(acme: Customer, alice: User, as_: AsPerson) -> None:
    client = as_(alice)
    counts = []
    for more in (1, 52):
        made = invoices_of(acme, alice, more)
        with CaptureQueriesContext(connection) as queries:
            shown(client, f"{LIST}?after={made[-1].number}" if more > 1 else LIST)
        counts.append(len(queries))
    assert max(counts) <= 10, [q["sql"][:150] for q in queries]


def test_who_may_see_orders_sees_invoices(
    acme: Customer, bob: User, mallory: User, as_: AsPerson, alice: User
) -> None:
    invoice_of(acme, alice)
    assert as_(bob).get(LIST).status_code == 200
    assert as_(mallory).get(LIST).status_code == 404
    assert Client().get(LIST).status_code == 302
    assert as_(alice).post(LIST).status_code == 405


def test_the_menu_leads_there(acme: Customer, alice: User, as_: AsPerson) -> None:
    assert f'href="{LIST}"' in as_(alice).get("/c/acme/").content.decode()
