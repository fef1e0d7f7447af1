"""The page of a customer about its members' second factor."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts import security
from accounts.access import Permission, asks_again, customer_page, may
from accounts.factors import has_factor


@customer_page(Permission.MEMBERS_READ)
@require_safe
def security_page(request: Any) -> HttpResponse:
    return _page(request)


@customer_page(Permission.OWNERS_EDIT)
@require_POST
@asks_again(form_on="../")
def security_require(request: Any) -> HttpResponse:
    """Only by an owner who has a second factor: nobody locks themselves out, or asks more of others than of themselves."""
    if not has_factor(request.user):
        return _page(
            request, "Set up a second factor of your own first; then you can ask it of the others.", 422
        )
    if security.require_factor(request.customer, by=request.user):
        messages.success(request, "From now on every member needs a second factor. They are told by mail.")
    return redirect("accounts:security-page", request.customer.username)


@customer_page(Permission.OWNERS_EDIT)
@require_POST
@asks_again(form_on="../")
def security_waive(request: Any) -> HttpResponse:
    if security.waive_factor(request.customer, by=request.user):
        messages.success(request, "The second factor is left to each member again.")
    return redirect("accounts:security-page", request.customer.username)


def _page(request: Any, error: str = "", status: int = 200) -> HttpResponse:
    is_owner = may(request.role, Permission.OWNERS_EDIT)
    context = {
        "rule": getattr(request.customer, "factor_rule", None),
        "is_owner": is_owner,
        "without": security.members_without(request.customer) if is_owner else [],
        "error": error,
    }
    return render(request, "accounts/security_page.html", context, status=status)
