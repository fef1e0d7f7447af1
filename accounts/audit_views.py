"""A customer's own page of what was changed, by whom and from where, with filters and as CSV."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import Permission, customer_page
from accounts.audit_forms import AuditFilterForm
from accounts.audit_words import act, address, changes, reason, who
from accounts.models import AuditEntry
from foundation.csv_lines import csv_lines

PAGE = 50
CSV_ROWS = 50_000
COLUMNS = ("time", "who", "action", "subject", "before", "after", "reason", "address")


@customer_page(Permission.MEMBERS_READ)
@require_safe
def audit_list(request: Any) -> HttpResponse:
    form = AuditFilterForm(request.GET)
    found = list(_after(form.entries_of(request.customer), request.GET.get("after", ""))[: PAGE + 1])
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
    entries = AuditFilterForm(request.GET).entries_of(request.customer)[:CSV_ROWS]
    answer = StreamingHttpResponse(csv_lines(_cells(entries)), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{request.customer.username}-changes.csv"'
    return answer


def _cells(entries: QuerySet[AuditEntry]) -> Iterator[tuple[str, ...]]:
    yield COLUMNS
    for entry in entries.iterator(chunk_size=2000):
        row = _row(entry)
        before = "; ".join(f"{name}: {old}" for name, old, _ in row["changes"] if old)
        after = "; ".join(f"{name}: {new}" for name, _, new in row["changes"] if new)
        about = (row["who"], entry.action, entry.subject, before, after, row["reason"], row["address"])
        yield (entry.at.isoformat(), *about)


def _row(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "who": who(entry),
        "act": act(entry),
        "changes": changes(entry),
        "reason": reason(entry),
        "address": address(entry),
        "staff": entry.by_staff,
    }


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
