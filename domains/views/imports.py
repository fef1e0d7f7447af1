from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, customer_page
from domains.mailbox_csv import reading
from domains.mailbox_csv.comparing import compare
from domains.mailbox_csv.form import MailboxImportForm
from domains.mailbox_csv.preview import preview
from domains.mailbox_csv.writing import export
from domains.models import MailboxImport
from domains.views.mailboxes import domain_of

FAULTS_SHOWN = 200


@customer_page(Permission.MAILBOXES_READ)
@require_safe
def mailbox_csv(request: Any, domain: str) -> HttpResponseBase:
    found = domain_of(request, domain)
    disposition = f'attachment; filename="{found}-mailboxes.csv"'
    return StreamingHttpResponse(
        export(found), content_type="text/csv; charset=utf-8", headers={"Content-Disposition": disposition}
    )


@customer_page(Permission.MAILBOXES_EDIT)
def import_add(request: Any, domain: str) -> HttpResponse:
    found = domain_of(request, domain)
    posted = request.method == "POST"
    form = MailboxImportForm(request.POST, request.FILES) if posted else MailboxImportForm()
    if form.is_valid() and (made := form.run(partial(compare, found), by=request.user)):
        return redirect(made)
    open_one = found.mailbox_imports.filter(finished_at=None).first()
    context = {"domain": found, "form": form, "open_one": open_one, "most_lines": reading.MOST_LINES}
    return render(request, "domains/import_add.html", context, status=422 if posted else 200)


@customer_page(Permission.MAILBOXES_EDIT)
@require_safe
def import_page(request: Any, domain: str, import_id: int) -> HttpResponse:
    """The page; to htmx, which asks again while work goes on, the part of it that says how far it is."""
    return _page(request, _import(request, domain, import_id))


@customer_page(Permission.MAILBOXES_EDIT)
@require_POST
def import_confirm(request: Any, domain: str, import_id: int) -> HttpResponse:
    found = _import(request, domain, import_id)
    try:
        found.confirm(by=request.user)
    except ValidationError as refusal:
        return _page(request, found, refusal.messages)
    return redirect(found)


@customer_page(Permission.MAILBOXES_EDIT)
@require_POST
def import_discard(request: Any, domain: str, import_id: int) -> HttpResponse:
    found = _import(request, domain, import_id)
    found.discard(by=request.user)
    return redirect(found if found.confirmed_at else found.domain.mailboxes_url)


def _page(request: Any, found: MailboxImport, refusal: list[str] | None = None) -> HttpResponse:
    context = {
        "import": found,
        "domain": found.domain,
        "preview": [] if request.htmx or found.confirmed_at else preview(found),
        "faults": found.faults[:FAULTS_SHOWN],
        "faults_left": max(0, found.refused - FAULTS_SHOWN),
        "refusal": refusal,
    }
    template = "domains/_import_progress.html" if request.htmx else "domains/import_page.html"
    response = render(request, template, context, status=422 if refusal else 200)
    patch_vary_headers(response, ["HX-Request"])
    if request.htmx and request.GET.get("was", found.status) != found.status:
        response["HX-Refresh"] = "true"  # the rest of the page is another one now
    return response


def _import(request: Any, domain: str, import_id: int) -> MailboxImport:
    found = domain_of(request, domain)
    made: MailboxImport = get_object_or_404(found.mailbox_imports, pk=import_id)
    made.domain = found  # with its server, already read
    return made
