"""What we hold about a person: a copy for them, and the deletion of their account."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import deleting, exporting, privacy
from accounts.access import asks_again
from accounts.data_forms import AccountDeleteForm


@require_safe
def data_page(request: Any) -> HttpResponse:
    return _page(request)


@require_POST
@asks_again(form_on="..")
def data_export_ask(request: Any) -> HttpResponse:
    try:
        exporting.ask_export(request.user)
    except ValidationError as refusal:
        return _page(request, refusal.messages)
    messages.success(
        request, "Your copy is being made. A mail with its link follows, mostly within a minute."
    )
    return redirect("accounts:data-page")


@never_cache
def data_export(request: Any, export: str) -> HttpResponseBase:
    """The link in the mail, by its secret. It takes a button, because mail filters follow links, and it works once."""
    found = exporting.find_export(request.user, export)
    if found is None:
        raise Http404
    return _export(request, export=found)


@require_http_methods(["GET", "HEAD", "POST"])
@asks_again
def _export(request: Any, export: Any) -> HttpResponseBase:
    content = exporting.fetch_export(export, request=request) if request.method == "POST" else None
    if content is None:
        export.refresh_from_db()
        status = 422 if request.method == "POST" else 200
        return render(request, "accounts/data_export.html", {"export": export}, status=status)
    answer = StreamingHttpResponse(content, content_type="application/zip")
    name = f"{slugify(settings.PRODUCT_NAME)}-data-{timezone.now():%Y-%m-%d}.zip"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Content-Length"] = str(export.size)
    return answer


@require_http_methods(["GET", "HEAD", "POST"])
@asks_again
def account_delete(request: Any) -> HttpResponse:
    form = AccountDeleteForm(request.POST or None, email=request.user.email)
    if form.is_valid() and (deletion := form.run(request.user)):
        messages.success(request, f"Your account will be deleted on {deletion.due_at:%-d %B %Y}.")
        return redirect("accounts:account-delete")
    context = {
        "form": form,
        "deletion": deleting.pending_deletion(request.user),
        "hindrances": privacy.hindrances(request.user),
        "erased": privacy.erased(),
        "kept": privacy.kept(request.user),
    }
    return render(
        request, "accounts/account_delete.html", context, status=422 if request.method == "POST" else 200
    )


@require_POST
def account_delete_stop(request: Any) -> HttpResponse:
    deletion = deleting.pending_deletion(request.user)
    if deletion is not None and deleting.stop_deletion(deletion):
        messages.success(request, "Your account stays.")
    return redirect("accounts:data-page")


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def account_deletion(request: Any, deletion: str) -> HttpResponse:
    """The link in the mail, by its secret. It takes a button, because mail filters follow links."""
    found = deleting.find_deletion(deletion)
    if found is None:
        raise Http404
    if request.method == "POST":
        deleting.stop_deletion(found)
        return redirect(request.path)
    return render(request, "accounts/account_deletion.html", {"deletion": found})


def _page(request: Any, refusal: list[str] | None = None) -> HttpResponse:
    context = {
        "export": request.user.data_exports.first(),
        "deletion": deleting.pending_deletion(request.user),
        "held": privacy.held(),
        "refusal": refusal,
    }
    return render(request, "accounts/data_page.html", context, status=422 if refusal else 200)
