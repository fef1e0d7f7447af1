from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, customer_page, may
from billing.access import order_page
from billing.forms import OrderAnswerForm
from billing.models import Order, OrderConflict
from billing.timeline import next_step, timeline


@order_page(Permission.ORDERS_READ)
@require_safe
def order_show(request: Any, order: Order) -> HttpResponse:
    return _order_page(request, order, OrderAnswerForm())


@order_page(Permission.ORDERS_EDIT)
@require_POST
def order_answer(request: Any, order: Order) -> HttpResponse:
    form = OrderAnswerForm(request.POST)
    if not form.is_valid():
        return _order_page(request, order, form, status=422)
    try:
        order.answer_question(form.cleaned_data["text"], by=request.user)
    except OrderConflict as conflict:
        return _order_page(request, order, OrderAnswerForm(), status=409, conflict=str(conflict))
    messages.success(request, "Thank you. Your answer is with our staff.")
    return redirect(order)


@order_page(Permission.ORDERS_EDIT)
@require_POST
def order_cancel(request: Any, order: Order) -> HttpResponse:
    try:
        cancelled = order.cancel(by=request.user)
    except OrderConflict as conflict:
        return _order_page(request, order, OrderAnswerForm(), status=409, conflict=str(conflict))
    messages.success(request, "The order is cancelled." if cancelled else "The order was cancelled before.")
    return redirect(order)


@customer_page(Permission.ORDERS_READ)
@require_safe
def order_list(request: Any) -> HttpResponse:
    orders = request.customer.orders.with_facts().order_by("-placed_at")
    page = Paginator(orders, 50).get_page(request.GET.get("page"))
    return render(request, "billing/order_list.html", {"page": page})


def _order_page(
    request: Any, order: Order, form: OrderAnswerForm, status: int = 200, conflict: str = ""
) -> HttpResponse:
    context = {
        "order": order,
        "form": form,
        "conflict": conflict,
        "may_edit": may(request.role, Permission.ORDERS_EDIT),
        "next_step": next_step(order),
        "steps": timeline(order),
        "payment_instructions": settings.PAYMENT_INSTRUCTIONS,
    }
    return render(request, "billing/order_show.html", context, status=status)
