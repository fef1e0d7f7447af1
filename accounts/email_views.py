"""The address that a person signs in with, and how it becomes another."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import email_changing
from accounts.access import asks_again
from accounts.email_forms import EmailChangeAskForm


@require_safe
def email_page(request: Any) -> HttpResponse:
    return _page(request, EmailChangeAskForm(user=request.user))


@require_POST
@asks_again(form_on="../")
def email_change_ask(request: Any) -> HttpResponse:
    form = EmailChangeAskForm(request.POST, user=request.user)
    if not form.is_valid():
        return _page(request, form, 422)
    email_changing.ask_change(request.user, form.cleaned_data["email"])
    messages.success(request, "Mails are on their way to both addresses. Confirm by the link in each.")
    return redirect("account_email")


@require_POST
def email_change_stop(request: Any) -> HttpResponse:
    change = request.user.email_changes.pending().first()
    if change is not None and email_changing.stop_change(change):
        messages.success(request, "Your address stays as it is.")
    return redirect("account_email")


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def email_change(request: Any, token: str) -> HttpResponse:
    """The link in either mail. It takes a button, because mail filters follow links."""
    found = email_changing.change_of(token)
    if found is None:
        raise Http404
    change, end = found
    if request.method == "POST":
        if end == "old" and request.POST.get("answer") == "stop":
            email_changing.stop_change(change)
        else:
            email_changing.confirm_change(change, end, request=request)
        return redirect(request.path)
    is_said = getattr(change, f"{end}_confirmed_at") is not None
    return render(request, "accounts/email_change.html", {"change": change, "end": end, "is_said": is_said})


def _page(request: Any, form: EmailChangeAskForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "change": request.user.email_changes.pending().first()}
    return render(request, "accounts/email_page.html", context, status=status)
