"""Paying by card: to Stripe's page, back from it, and where Stripe tells us what happened."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission
from billing import card_payments
from billing.access import find_order, order_page
from billing.models import Order, OrderStatus, SaleConflict
from billing.stripe_events import keep_event
from billing.stripe_gateway import ForgedEvent, read_event
from billing.views import show_order


@order_page(Permission.ORDERS_EDIT)
@require_POST
def order_pay(request: Any, order: Order) -> HttpResponse:
    try:
        return HttpResponseRedirect(card_payments.pay_by_card(order, by=request.user))
    except SaleConflict as conflict:
        return show_order(request, find_order(order.number), status=409, conflict=str(conflict))
    except card_payments.CardUnavailable as unavailable:
        return show_order(
            request, find_order(order.number), status=unavailable.status, conflict=str(unavailable)
        )


@order_page(Permission.ORDERS_READ)
@require_safe
def order_paid(request: Any, order: Order) -> HttpResponse:
    """Where the browser comes back to, whether somebody paid or not."""
    try:
        card_payments.learn_payment(order)
    except card_payments.CardUnavailable:
        messages.info(
            request, "We have not heard from Stripe yet. If you paid, this page will say so in a minute."
        )
        return redirect(order)
    order = find_order(order.number)
    if order.status == OrderStatus.ACTIVE:
        messages.success(request, "Thank you, your payment is in.")
    elif order.status == OrderStatus.UNPAID:
        messages.info(request, "Nothing was paid by card. You can try again, or pay in another way.")
    return redirect(order)


@csrf_exempt
@login_not_required
@require_POST
def stripe_webhook(request: Any) -> HttpResponse:
    try:
        facts = read_event(request.body, request.headers.get("Stripe-Signature", ""))
    except ForgedEvent as error:
        return HttpResponse(str(error), status=400, content_type="text/plain")
    keep_event(facts)
    return HttpResponse(status=204)
