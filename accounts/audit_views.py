"""A customer's own page of what was changed, by whom and from where, with filters and as CSV."""

import csv
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import Permission, customer_page
from accounts.audit_words import WORDS, act, changes, is_by_staff, reason, who
from accounts.models import AuditEntry

PAGE = 50
CSV_ROWS = 50_000
COLUMNS = ("time", "who", "action", "subject", "before", "after", "reason", "address")


class AuditFilterForm(forms.Form):
    who = forms.CharField(required=False, max_length=254, help_text="Part of an address; or: staff, system")
    what = forms.ChoiceField(
        required=False, choices=[("", "Everything"), *sorted((key, key) for key in WORDS)]
    )
    subject = forms.CharField(required=False, max_length=254)
    since = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))


@customer_page(Permission.MEMBERS_READ)
@require_safe
def audit_list(request: Any) -> HttpResponse:
    form, members = AuditFilterForm(request.GET), _members(request)
    found = list(_after(_entries(request, form), request.GET.get("after", ""))[: PAGE + 1])
    query = urlencode({name: request.GET[name] for name in form.fields if request.GET.get(name)})
    context = {
        "form": form,
        "rows": [_row(entry, members) for entry in found[:PAGE]],
        "after": request.GET.get("after", ""),
        "more": f"{found[PAGE - 1].at.isoformat()}_{found[PAGE - 1].pk}" if len(found) > PAGE else "",
        "query": query,
    }
    return render(request, "accounts/audit_list.html", context, status=200 if form.is_valid() else 422)


@customer_page(Permission.MEMBERS_READ)
@require_safe
def audit_csv(request: Any) -> StreamingHttpResponse:
    entries = _entries(request, AuditFilterForm(request.GET))[:CSV_ROWS]
    answer = StreamingHttpResponse(_lines(entries, _members(request)), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{request.customer.username}-changes.csv"'
    return answer


class _Echo:
    def write(self, line: str) -> str:
        return line


def _lines(entries: QuerySet[AuditEntry], members: set[int]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for entry in entries.iterator(chunk_size=2000):
        row = _row(entry, members)
        before = "; ".join(f"{name}: {old}" for name, old, _ in row["changes"] if old)
        after = "; ".join(f"{name}: {new}" for name, _, new in row["changes"] if new)
        cells = (row["who"], entry.action, entry.subject, before, after, row["reason"], row["address"])
        yield writer.writerow([entry.at.isoformat(), *map(_harmless, cells)])


def _harmless(cell: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _row(entry: AuditEntry, members: set[int]) -> dict[str, Any]:
    staff = is_by_staff(entry, members)
    return {
        "at": entry.at,
        "who": who(entry, members),
        "act": act(entry),
        "changes": changes(entry),
        "reason": reason(entry),
        "address": "" if staff else entry.address or "",
        "staff": staff,
    }


def _members(request: Any) -> set[int]:
    """Staff who belong to the customer themselves: what they do is done as members."""
    return set(
        request.customer.memberships.filter(user__is_staff=True).values_list("user_id", flat=True)[:200]
    )


def _entries(request: Any, form: AuditFilterForm) -> QuerySet[AuditEntry]:
    """The customer's entries that the filters leave, newest first; a filter that makes no sense leaves none."""
    entries = request.customer.audit_entries.select_related("by").order_by("-at", "-pk")
    if not form.is_valid():
        return entries.none()
    wanted = form.cleaned_data
    own = request.customer.memberships.filter(user=OuterRef("by"))
    by_staff = Q(by__is_staff=True) & ~Exists(own)
    if wanted["who"] in ("staff", "our staff"):
        entries = entries.filter(by_staff)
    elif wanted["who"] in ("system", "the system"):
        entries = entries.filter(by=None)
    elif wanted["who"]:
        entries = entries.filter(by__email__icontains=wanted["who"]).exclude(by_staff)
    for lookup, name in (
        ("action", "what"), ("subject__icontains", "subject"), ("at__date__gte", "since"), ("at__date__lte", "until")
    ):  # fmt: skip
        if wanted[name]:
            entries = entries.filter(**{lookup: wanted[name]})
    return entries


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
