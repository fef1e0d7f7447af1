from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, customer_page
from billing.entitlements import storage_of
from domains import bulk_summary
from domains.bulk_form import BulkAddForm, shown_list
from domains.mailbox_search import MailboxSearch
from domains.models import BulkChange
from domains.models.bulk import propose_bulk_change
from domains.views.mailboxes import domain_of, list_of

RECENT = 30


@customer_page(Permission.MAILBOXES_READ)
@require_safe
def bulk_list(request: Any, domain: str) -> HttpResponse:
    found = domain_of(request, domain)
    begun = found.bulk_changes.filter(started_at__isnull=False).select_related("by")
    return render(request, "domains/bulk_list.html", {"domain": found, "changes": begun[:RECENT]})


@customer_page(Permission.MAILBOXES_EDIT)
@require_POST
def bulk_add(request: Any, domain: str) -> HttpResponse:
    found = domain_of(request, domain, storage=storage_of("customer"))
    search = MailboxSearch(found, shown_list(request.POST) or QueryDict())
    form = BulkAddForm(request.POST, search=search)
    if form.is_valid() and (bulk := form.run(partial(propose_bulk_change, found), by=request.user)):
        return redirect(bulk)
    return list_of(request, search, form)


@customer_page(Permission.MAILBOXES_READ)
@require_safe
def bulk_page(request: Any, domain: str, bulk: UUID) -> HttpResponse:
    """The summary, the progress, the end; to htmx, which asks again while work is done, the part that changes."""
    response = _show(request, _bulk(request, domain, bulk))
    patch_vary_headers(response, ["HX-Request"])
    return response


@customer_page(Permission.MAILBOXES_EDIT)
@require_POST
def bulk_start(request: Any, domain: str, bulk: UUID) -> HttpResponse:
    return _run(request, domain, bulk, BulkChange.start)


@customer_page(Permission.MAILBOXES_EDIT)
@require_POST
def bulk_undo(request: Any, domain: str, bulk: UUID) -> HttpResponse:
    return _run(request, domain, bulk, BulkChange.undo)


def _run(request: Any, domain: str, bulk: UUID, verb: Callable[..., bool]) -> HttpResponse:
    found = _bulk(request, domain, bulk)
    try:
        verb(found, by=request.user)
    except ValidationError as refusal:
        return _show(request, found, refusal=refusal.messages, status=422)
    return redirect(found)


def _show(request: Any, bulk: BulkChange, *, refusal: Any = None, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {"bulk": bulk, "domain": bulk.domain, "refusal": refusal}
    if bulk.status == "proposed":
        context |= {
            "summary": bulk_summary.summarise(bulk),
            "addresses": bulk_summary.first_addresses(bulk),
        }
    else:
        context["reasons"] = bulk_summary.reasons(bulk)
    template = "domains/_bulk_progress.html" if request.htmx else "domains/bulk_page.html"
    return render(request, template, context, status=status)


def _bulk(request: Any, domain: str, pk: UUID) -> BulkChange:
    found = domain_of(request, domain)
    bulk: BulkChange = get_object_or_404(found.bulk_changes.select_related("by", "undo_by"), pk=pk)
    bulk.domain = found
    return bulk
