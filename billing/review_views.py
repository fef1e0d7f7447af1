"""Pages of staff about orders: the queue, one page an order, and what is recorded there."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import staff_page
from billing.access import find_order_for_staff
from billing.forms import PaymentRecordForm, ReviewDecideForm
from billing.fraud_card import fraud_card
from billing.models import Order, OrderConflict, OrderStatus
from billing.review_queue import QUEUES, queue_page
from billing.submissions import read_submission
from billing.timeline import timeline


@staff_page(right="billing.view_order")
@require_safe
def review_list(request: Any) -> HttpResponse:
    queue = request.GET.get("status", "")
    queue = queue if queue in QUEUES else ""
    page = queue_page(queue, request.GET.get("page"), request.GET.get("limit"))
    query = urlencode({"status": queue, "limit": page.paginator.per_page})
    context = {"page": page, "queue": queue, "queues": QUEUES, "query": query}
    return render(request, "billing/review_list.html", context)


@staff_page(right="billing.view_order")
@require_http_methods(["GET", "HEAD", "POST"])
def review_show(request: Any, number: str) -> Any:
    if request.method == "POST":
        return _review_decide(request, number)
    return review_page(request, find_order_for_staff(number))


@staff_page(right="billing.add_reviewdecision")
def _review_decide(request: Any, number: str) -> HttpResponse:
    order = find_order_for_staff(number)
    form = ReviewDecideForm(request.POST)
    if not form.is_valid():
        return review_page(request, order, decide=form)
    try:
        form.decide(order, by=request.user)
    except (OrderConflict, ValidationError) as error:
        return refused(request, number, error, decide=form)
    messages.success(request, f"Order {order.number}: done.")
    return redirect("billing:review-show", order.number)


@staff_page(right="billing.add_payment")
@require_POST
def payment_record(request: Any, number: str) -> HttpResponse:
    order = find_order_for_staff(number)
    form = PaymentRecordForm(request.POST)
    if not form.is_valid():
        return review_page(request, order, payment=form)
    wanted = {name: form.cleaned_data[name] for name in ("method", "reference", "amount_minor", "currency")}
    try:
        order.record_payment(
            **wanted, submission=read_submission(form.cleaned_data, request.POST), by=request.user
        )
    except (OrderConflict, ValidationError) as error:
        return refused(request, number, error, payment=form)
    return redirect("billing:review-show", order.number)


def refused(request: Any, number: str, error: Exception, **wrong: Any) -> HttpResponse:
    """The page as the order is now: 409 with the conflict, or 422 with the errors at their fields."""
    order = find_order_for_staff(number)
    if isinstance(error, OrderConflict):
        return review_page(request, order, conflict=str(error))
    for form in wrong.values():
        form.add_error(None, error)
    return review_page(request, order, **wrong)


def review_page(
    request: Any,
    order: Order,
    *,
    conflict: str = "",
    decide: ReviewDecideForm | None = None,
    payment: PaymentRecordForm | None = None,
    fraud: forms.Form | None = None,
) -> HttpResponse:
    """The page of an order. The form that was sent keeps the plain ids of the contract; the others step aside with a
    prefix. `fraud` is one of `billing.fraud_forms`.
    """
    amount = {"currency": order.currency, "amount": order.due_amount}
    text = {
        "seen": order.seen,
        "text": request.POST.get("text", "") if conflict and "decision" in request.POST else "",
    }
    context = {
        "order": order,
        "conflict": conflict,
        "decide_form": decide or ReviewDecideForm(initial=text, auto_id=_ids("decide", fraud)),
        "payment_form": payment or PaymentRecordForm(initial=amount),
        "may_decide": request.user.has_perm("billing.add_reviewdecision")
        and (decide is not None or order.status in (OrderStatus.REVIEW, OrderStatus.QUESTION)),
        "earlier_orders": order.placed_by.orders.with_status()
        .select_related("plan")
        .exclude(pk=order.pk)[:10],
        "steps": timeline(order, for_staff=True),
        **fraud_card(order, fraud),
    }
    wrong = decide or payment or fraud
    return render(
        request, "billing/review_show.html", context, status=409 if conflict else 422 if wrong else 200
    )


def _ids(prefix: str, other: Any) -> str:
    return f"id_{prefix}_%s" if other else "id_%s"
