"""A customer's billing details."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from accounts.access import Permission, customer_page
from billing import vies
from billing.details_form import BillingDetailsForm, values_of
from billing.models.billing_details import BillingDetails, change_details, details_of


@customer_page(Permission.ORDERS_EDIT, before_activation=True)
def details_change(request: Any) -> HttpResponse:
    """To be read and changed by whoever may order, also before the first payment, whose tax depends on them."""
    details = details_of(request.customer)
    form = BillingDetailsForm(request.POST if request.method == "POST" else None, initial=values_of(details))
    if request.POST.get("step") == "change":
        return _page(request, details, form.as_entered())
    if form.is_valid() and form.run(_change(request)):
        messages.success(request, "The billing details are saved.")
        return redirect("billing:details-change", customer=request.customer.username)
    return _page(request, details, form, status=422 if form.is_bound else 200)


def _change(request: Any) -> Any:
    return lambda **fields: change_details(request.customer, fields, by=request.user)


def _page(
    request: Any, details: BillingDetails, form: BillingDetailsForm, *, status: int = 200
) -> HttpResponse:
    context = {"details": details, "form": form, "asks_vies": vies.is_on(), "tax_is_on": settings.TAX}
    return render(request, "billing/details_change.html", context, status=status)
