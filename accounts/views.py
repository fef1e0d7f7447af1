from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.access import Permission, customer_page
from accounts.models.customer import know_suspensions


@require_safe
def home(request: Any) -> HttpResponse:
    """Where a person lands after signing in: straight at the customer when there is only one."""
    memberships = list(
        request.user.memberships.select_related("customer").order_by("customer__username")[:200]
    )
    if len(memberships) == 1 and "all" not in request.GET:
        return redirect(memberships[0].customer)
    know_suspensions([membership.customer for membership in memberships])
    return render(request, "accounts/home.html", {"memberships": memberships})


@customer_page(Permission.CUSTOMER_READ)
@require_safe
def customer_overview(request: Any) -> HttpResponse:
    return render(request, "accounts/customer_overview.html", {"customer": request.customer})


@customer_page(Permission.MEMBERS_READ)
@require_safe
def member_list(request: Any) -> HttpResponse:
    members = request.customer.memberships.select_related("user").order_by("created_at")[:200]
    return render(request, "accounts/member_list.html", {"members": members})
