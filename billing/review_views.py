"""Pages of staff about orders: the queue, one page an order, and what is decided and paid there."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import staff_page
from billing import presence
from billing.access import find_order_for_staff
from billing.forms import PaymentRecordForm
from billing.fraud_card import fraud_card
from billing.models import CannedText, Order, OrderConflict, OrderStatus, Risk
from billing.review_forms import NoteAddForm, RefundRecordForm, ReviewDecideForm
from billing.review_queue import QUEUES, SORTS, Filters, figures, next_order, queue_page
from billing.submissions import read_submission
from billing.timeline import timeline

CANNED_SHOWN = 30


@staff_page(right="billing.view_order")
@require_safe
def review_list(request: Any) -> HttpResponse:
    filters = Filters.read(request.GET)
    page = queue_page(filters, request.GET.get("page"), request.GET.get("limit"))
    context = {
        "page": page,
        "filters": filters,
        "queues": QUEUES,
        "sorts": SORTS,
        "risks": [(str(risk.value), risk.label) for risk in reversed(Risk)],
        "query": urlencode({"limit": page.limit}) + (f"&{filters.query}" if filters.query else ""),
        "figures": figures(),
        "others": presence.names_at(page.orders, request.user),
    }
    return render(request, "billing/review_list.html", context)


@staff_page(right="billing.view_order")
@require_http_methods(["GET", "HEAD", "POST"])
def review_show(request: Any, number: str) -> Any:
    if request.method == "POST":
        return _review_decide(request, number)
    return review_page(request, find_order_for_staff(number, at=request.user))


@staff_page(right="billing.add_reviewdecision")
def _review_decide(request: Any, number: str) -> HttpResponse:
    order = find_order_for_staff(number)
    if canned := _canned(request.POST.get("insert", "")):
        return review_page(request, order, insert=ReviewDecideForm.with_canned(request.POST, canned, order))
    form = ReviewDecideForm(request.POST)
    if not form.is_valid():
        return review_page(request, order, decide=form)
    try:
        messages.success(request, form.decide(order, by=request.user))
    except (OrderConflict, ValidationError) as error:
        return refused(request, number, error, decide=form)
    if request.POST.get("then") == "next":
        return go_on(request, order)
    return redirect("billing:review-show", order.number)


def _canned(key: str) -> CannedText | None:
    return CannedText.numbered(int(key)) if key.isascii() and key.isdigit() and len(key) < 10 else None


def go_on(request: Any, order: Order) -> HttpResponse:
    """To the next order of the queue that the query string names, or to the queue where there is none."""
    filters = Filters.read(request.GET)
    found = next_order(filters, order, request.user)
    if found is None:
        messages.info(request, "Nothing else waits for you here.")
    path = reverse("billing:review-show", args=[found.number]) if found else reverse("billing:review-list")
    return redirect(f"{path}?{filters.query}" if filters.query else path)


def _canned_texts() -> list[dict[str, Any]]:
    """Those that the page offers, the first nine with a digit as their key."""
    texts = CannedText.offered(CANNED_SHOWN)
    return [
        {"text": text, "kind": text.get_kind_display(), "key": number if number < 10 else ""}
        for number, text in enumerate(texts, 1)
    ]


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
    insert: ReviewDecideForm | None = None,
    payment: PaymentRecordForm | None = None,
    fraud: forms.Form | None = None,
    note: NoteAddForm | None = None,
    refund: RefundRecordForm | None = None,
) -> HttpResponse:
    """The page of an order. The form that was sent keeps the plain ids of the contract; the others step aside with a
    prefix. `insert` is the decision's form with a canned text in it, `fraud` one of `billing.fraud_forms`.
    """
    amount = {"currency": order.currency, "amount": order.due_amount}
    text = {
        "seen": order.seen,
        "text": request.POST.get("text", "") if conflict and "decision" in request.POST else "",
    }
    wrong = decide or payment or fraud or note or refund
    is_own = order.is_own_of(request.user)
    may_decide = (
        request.user.has_perm("billing.add_reviewdecision")
        and not is_own
        and (decide is not None or order.status in (OrderStatus.REVIEW, OrderStatus.QUESTION))
    )
    context = {
        "order": order,
        "conflict": conflict,
        "filters": Filters.read(request.GET),
        "is_own": is_own,
        "may_decide": may_decide,
        "decide_form": decide
        or insert
        or ReviewDecideForm(initial=text, auto_id="id_decide_%s" if fraud or note else "id_%s"),
        "canned_texts": _canned_texts() if may_decide else [],
        "payment_form": payment
        or PaymentRecordForm(initial=amount, auto_id="id_payment_%s" if refund else "id_%s"),
        "refund_form": refund
        or RefundRecordForm(initial={"owed_minor": order.refund_minor}, auto_id="id_refund_%s"),
        "note_form": note or NoteAddForm(auto_id="id_note_%s"),
        "earlier_orders": order.placed_by.orders.with_status()
        .select_related("plan")
        .exclude(pk=order.pk)[:10],
        "steps": timeline(order, for_staff=True),
        "presence": presence.shown_at(order, request.user),
        **fraud_card(order, fraud),
    }
    return render(
        request, "billing/review_show.html", context, status=409 if conflict else 422 if wrong else 200
    )
