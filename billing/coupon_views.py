"""A coupon for the renewals of a service that runs: using one, and doing without it after all."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from accounts.access import Permission, customer_page
from billing.coupon_forms import CouponUseForm
from billing.coupon_guesses import count_guess, is_guessing
from billing.invoice_document import in_words
from billing.invoice_views import show_billing
from billing.models import Subscription
from foundation.limits import too_many


@customer_page(Permission.ORDERS_EDIT)
@require_POST
def coupon_use(request: Any) -> HttpResponse:
    form = CouponUseForm(request.POST)
    if is_guessing(request, form):
        return too_many(request)
    if form.is_valid():
        try:
            use = _running(request).use_coupon(form.cleaned_data["coupon"], by=request.user)
        except ValidationError as refusal:
            form.add_error(None, refusal)
            count_guess(request, form)
        else:
            service = use.subscription
            is_announced = use.first_period < service.periods
            first = "the renewal that is announced" if is_announced else in_words(service.renews_on)
            messages.success(request, f"{use} is taken off the price from {first} on.")
            return redirect("billing:billing-show", request.customer.username)
    return show_billing(request, form, status=422)


@customer_page(Permission.ORDERS_EDIT)
@require_POST
def coupon_drop(request: Any) -> HttpResponse:
    try:
        if _running(request).drop_coupon(by=request.user):
            messages.success(request, "The coupon is removed. You can use it again, or another one.")
    except ValidationError as refusal:
        messages.error(request, f"{refusal.messages[0]} Nothing was changed.")
    return redirect("billing:billing-show", request.customer.username)


def _running(request: Any) -> Subscription:
    found: Subscription = get_object_or_404(request.customer.subscriptions, ended_at=None)
    return found
