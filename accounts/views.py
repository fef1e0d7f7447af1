from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.access import Permission, customer_page
from accounts.models.customer import know_suspensions
from accounts.models.invitation import invitations_for

FEW = 8  # services that nobody needs a search for
SHOWN = 100  # services on the home page; the others are found by searching


@require_safe
def home(request: Any) -> HttpResponse:
    """Where a person lands after signing in: straight at the customer when there is only one."""
    query, everything = request.GET.get("q", "").strip()[:120], "all" in request.GET
    own = request.user.memberships.select_related("customer").order_by("customer__username")
    if query:
        own = own.filter(Q(customer__username__icontains=query) | Q(customer__name__icontains=query))
    memberships = list(own[: SHOWN + 1])
    invitations = list(invitations_for(request.user))
    if len(memberships) == 1 and not (query or everything or invitations):
        return redirect(memberships[0].customer)
    know_suspensions([membership.customer for membership in memberships])
    context = {
        "memberships": memberships[:SHOWN],
        "more": len(memberships) > SHOWN,
        "invitations": invitations,
        "query": query,
        "may_search": bool(query) or len(memberships) > FEW,
    }
    return render(request, "accounts/home.html", context)


@customer_page(Permission.CUSTOMER_READ)
@require_safe
def customer_overview(request: Any) -> HttpResponse:
    return render(request, "accounts/customer_overview.html", {"customer": request.customer})
