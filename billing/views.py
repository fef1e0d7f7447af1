from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Permission, customer_page, may
from billing.access import order_page
from billing.drafts import drop_draft, has_draft, keep_draft, read_draft
from billing.forms import OrderAnswerForm
from billing.models import Order, OrderConflict
from billing.ordering import place_order
from billing.place_form import OrderPlaceForm
from billing.submissions import read_submission
from billing.timeline import next_step, timeline
from foundation.client_address import client_address


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def order_place(request: Any) -> HttpResponse:
    if request.method != "POST":
        return _order_form(request, OrderPlaceForm(initial=read_draft(request)))
    form = OrderPlaceForm(request.POST)
    if form.is_valid() and not request.user.is_authenticated:
        return keep_draft(request, form)
    if form.is_valid() and (order := _place(request, form)):
        drop_draft(request)
        return redirect(order)
    return _order_form(request, form, status=422)


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


def _place(request: Any, form: OrderPlaceForm) -> Order | None:
    """The order, or None with the reason among the form's errors."""
    submission = read_submission(form.cleaned_data, request.POST)
    try:
        return place_order(
            form.cleaned_data, by=request.user, client_address=client_address(request), submission=submission
        )
    except ValidationError as error:
        form.add_error(None, error)
        return None


def _order_form(request: HttpRequest, form: OrderPlaceForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "has_draft": has_draft(request)}
    return render(request, "billing/order_place.html", context, status=status)


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
