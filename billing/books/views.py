"""Pages of staff about the books. Each is of what its address asks for; a form that makes no sense says so, and is of
nothing. A POST to the same address fetches the whole as a file: each of these stands in the audit trail.
"""

from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access import staff_page
from accounts.models import Customer
from billing.books import entries, failures, receivables, revenue
from billing.books.csv_file import csv_file
from billing.books.forms import AsOfForm, DaysForm, FailuresForm, ReportForm, YearForm
from billing.money import format_money

PAGE = 50
MOST_OPEN = 50  # invoices of a customer, on the page of their ledger

page_and_file = require_http_methods(["GET", "HEAD", "POST"])


@staff_page(right="billing.view_renewal")
@require_safe
def book_list(request: Any) -> HttpResponse:
    return render(request, "billing/books/book_list.html")


@staff_page(right="billing.view_ledgerentry")
@page_and_file
def day_book(request: Any) -> HttpResponseBase:
    form, found = DaysForm(request.GET), entries.none()
    if form.is_valid():
        found = entries.everybodys(**form.at)
        if request.method == "POST":
            lines = map(entries.cells, entries.with_causes(found).iterator(entries.AT_ONCE))
            return csv_file(request, "Day book", entries.COLUMNS, lines, form.words)
    page, more = _page(entries.with_causes(found), request.GET.get("after", ""))
    context = {
        "rows": [(entry, entries.cause_of(entry)) for entry in page],
        "sums": entries.sums(found),
        "more": more,
    }
    return _answer(request, "day_book", form, context)


@staff_page(right="billing.view_ledgerentry")
@page_and_file
def receivable_list(request: Any) -> HttpResponseBase:
    form, after = AsOfForm(request.GET), request.GET.get("after", "")
    owed: list[receivables.Owed] = []
    sums: list[receivables.Owed] = []
    if form.is_valid():
        on = form.cleaned_data["on"]
        if request.method == "POST":
            lines = receivables.open_lines(on)
            return csv_file(request, "Aged receivables", receivables.COLUMNS, lines, form.words)
        sums, owed = receivables.owed(on, after, PAGE + 1)
    context = {
        "ages": [name for name, _, _ in receivables.AGES],
        "rows": owed[:PAGE],
        "sums": sums,
        "more": owed[PAGE - 1].key if len(owed) > PAGE else "",
    }
    return _answer(request, "receivable_list", form, context)


@staff_page(right="billing.view_renewal")
@page_and_file
def failed_payment_list(request: Any) -> HttpResponseBase:
    form = FailuresForm(request.GET)
    page: list[Any] = []
    more = ""
    if form.is_valid():
        charges = failures.failed_charges(form.cleaned_data["standing"], **form.at)
        if request.method == "POST":
            return csv_file(request, "Failed payments", failures.COLUMNS, failures.lines(charges), form.words)
        page, more = _page(charges, request.GET.get("after", ""), than="lt")
    context = {"rows": [(charge, failures.next_of(charge.renewal)) for charge in page], "more": more}
    return _answer(request, "failed_payment_list", form, context)


@staff_page(right="billing.view_ledgerentry")
@page_and_file
def recurring_revenue(request: Any) -> HttpResponseBase:
    if request.method == "POST":
        return csv_file(request, "Monthly recurring revenue", revenue.COLUMNS, revenue.lines())
    context = {"rows": revenue.months(), "months": revenue.MONTHS}
    return render(request, "billing/books/recurring_revenue.html", context)


@staff_page(right="billing.view_ledgerentry")
@page_and_file
def customer_ledger(request: Any, customer: str) -> HttpResponseBase:
    of, form = get_object_or_404(Customer, username=customer), YearForm(request.GET)
    currencies = list(of.ledger_entries.order_by("currency").values_list("currency", flat=True).distinct())
    currency = request.GET.get("currency", "")
    currency = currency if currency in currencies else next(iter(currencies), "")
    context = {"customer": of, "currencies": currencies, "currency": currency}
    if form.is_valid() and request.method == "POST":
        lines = entries.lines_with_balance(of, currency, form) if currency else iter(())
        words = {"currency": currency, **form.words} if currency else form.words
        return csv_file(request, f"Ledger of {of.username}", entries.COLUMNS_OF_A_CUSTOMER, lines, words)
    if form.is_valid() and currency:
        context |= _ledger(of, currency, form, request.GET.get("after", ""))
    return _answer(request, "customer_ledger", form, context, currency=currency)


def _ledger(customer: Customer, currency: str, form: YearForm, after: str) -> dict[str, Any]:
    """`before`: what was owed before the rows; those have their entry, cause, what it moved, and what was owed after it."""
    found = entries.with_causes(customer.ledger_entries.filter(currency=currency, **form.at))
    page, more = _page(found, after)
    before = entries.balance_before(customer, currency, form, page[0] if page else None)
    on = min(form.cleaned_data["until"], timezone.localdate())
    lines = list(islice(receivables.open_lines(on, customer=customer, currency=currency), MOST_OPEN + 1))
    return {
        "before": format_money(before, currency),
        "rows": [
            (entry, entries.cause_of(entry), format_money(moved, currency), format_money(balance, currency))
            for entry, moved, balance in entries.with_balance(page, before)
        ],
        "on": on,
        "open": lines[:MOST_OPEN],
        "is_cut": len(lines) > MOST_OPEN,
        "more": more,
    }


def _page(rows: "QuerySet[Any]", after: str, than: str = "gt") -> tuple[list[Any], str]:
    """Those behind the row of that id, if it is one of these, and by which the next page begins. `than`: "lt" where they
    come newest first.
    """
    try:
        key = rows.model._meta.pk.to_python(after) if after else None
        last = rows.filter(pk=key).values_list("at", "pk").first() if key else None
    except (ValidationError, OverflowError):
        last = None
    if last:
        rows = rows.filter(Q((f"at__{than}", last[0])) | Q(("at", last[0]), (f"pk__{than}", last[1])))
    found = list(rows[: PAGE + 1])
    return found[:PAGE], str(found[PAGE - 1].pk) if len(found) > PAGE else ""


def _answer(
    request: Any, template: str, form: ReportForm, context: dict[str, Any], **also: str
) -> HttpResponse:
    """`query` is what was asked for, for the next page and for the file."""
    asked = {name: request.GET[name] for name in form.fields if request.GET.get(name)} | also
    known = {"form": form, "query": urlencode(asked), "after": request.GET.get("after", ""), **context}
    status = 200 if form.is_valid() else 422
    return render(request, f"billing/books/{template}.html", known, status=status)
