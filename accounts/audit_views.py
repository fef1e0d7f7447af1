"""A customer's own page of what was changed, by whom and from where, with filters and as CSV."""

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import Permission, customer_page
from accounts.audit_words import FOR_MEMBERS, act, changes, reason, who
from accounts.models import AuditEntry

PAGE = 50
CSV_ROWS = 50_000
COLUMNS = ("time", "who", "action", "subject", "before", "after", "reason", "address")


class AuditFilterForm(forms.Form):
    who = forms.CharField(required=False, max_length=254, help_text="Part of an address; or: staff, system")
    what = forms.ChoiceField(
        required=False, choices=[("", "Everything"), *((key, key) for key in sorted(FOR_MEMBERS))]
    )
    subject = forms.CharField(required=False, max_length=254)
    since = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))


@customer_page(Permission.MEMBERS_READ)
@require_safe
def audit_list(request: Any) -> HttpResponse:
    form = AuditFilterForm(request.GET)
    found = list(_after(_entries(request, form), request.GET.get("after", ""))[: PAGE + 1])
    query = urlencode({name: request.GET[name] for name in form.fields if request.GET.get(name)})
    context = {
        "form": form,
        "rows": [_row(entry) for entry in found[:PAGE]],
        "after": request.GET.get("after", ""),
        "more": f"{found[PAGE - 1].at.isoformat()}_{found[PAGE - 1].pk}" if len(found) > PAGE else "",
        "query": query,
    }
    return render(request, "accounts/audit_list.html", context, status=200 if form.is_valid() else 422)


@customer_page(Permission.MEMBERS_READ)
@require_safe
def audit_csv(request: Any) -> StreamingHttpResponse:
    entries = _entries(request, AuditFilterForm(request.GET))[:CSV_ROWS]
    answer = StreamingHttpResponse(_lines(entries), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{request.customer.username}-changes.csv"'
    return answer


class _Echo:
    def write(self, line: str) -> str:
        return line


def _lines(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for entry in entries.iterator(chunk_size=2000):
        row = _row(entry)
        before = "; ".join(f"{name}: {old}" for name, old, _ in row["changes"] if old)
        after = "; ".join(f"{name}: {new}" for name, _, new in row["changes"] if new)
        cells = (row["who"], entry.action, entry.subject, before, after, row["reason"], row["address"])
        yield writer.writerow([entry.at.isoformat(), *map(_harmless, cells)])


def _harmless(cell: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _row(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "who": who(entry),
        "act": act(entry),
        "changes": changes(entry),
        "reason": reason(entry),
        "address": "" if entry.by_staff else entry.address or "",
        "staff": entry.by_staff,
    }


def _entries(request: Any, form: AuditFilterForm) -> QuerySet[AuditEntry]:
    """The customer's entries that the filters leave, newest first; a filter that makes no sense leaves none."""
    entries = request.customer.audit_entries.filter(action__in=FOR_MEMBERS)
    entries = entries.select_related("by").order_by("-at", "-pk")
    if not form.is_valid():
        return entries.none()
    wanted = form.cleaned_data
    if wanted["who"] in ("staff", "our staff"):
        entries = entries.filter(by_staff=True)
    elif wanted["who"] in ("system", "the system"):
        entries = entries.filter(by=None)
    elif wanted["who"]:
        entries = entries.filter(by_staff=False, by__email__icontains=wanted["who"])
    for lookup, value in (
        ("action", wanted["what"]),
        ("subject__icontains", wanted["subject"]),
        ("at__gte", wanted["since"] and _midnight(wanted["since"])),
        ("at__lt", wanted["until"] and _midnight(wanted["until"], 1)),
    ):
        if value:
            entries = entries.filter(**{lookup: value})
    return entries


def _midnight(day: date, later: int = 0) -> datetime:
    """The beginning of a day, or so many days `later`; the database finds times by index, and not their days."""
    first = datetime.combine(day, time.min, tzinfo=UTC)
    return first + timedelta(days=later) if day < date.max else datetime.max.replace(tzinfo=UTC)


def _after(entries: QuerySet[AuditEntry], key: str) -> QuerySet[AuditEntry]:
    """Those that follow the entry with this key; all where it is none."""
    at, _, pk = key.partition("_")
    try:
        moment, last = datetime.fromisoformat(at), UUID(pk)
    except ValueError:
        return entries
    if moment.tzinfo is None:
        return entries
    return entries.filter(at__lte=moment).exclude(at=moment, pk__gte=last)
