"""What staff do on the page of an order beside deciding: go on to the next one, see each other, notes, refunds."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import staff_page
from billing import presence
from billing.access import find_order_for_staff
from billing.models import OrderConflict
from billing.review_forms import NoteAddForm, RefundRecordForm
from billing.review_views import go_on, refused, review_page


@staff_page(right="billing.view_order")
@require_safe
def review_next(request: Any, number: str) -> HttpResponse:
    return go_on(request, find_order_for_staff(number))


@staff_page(right="billing.view_order")
@require_safe
def review_presence(request: Any, number: str) -> HttpResponse:
    """The part of the page that says who else is there; 204 where it would say what it says already."""
    order = find_order_for_staff(number, at=request.user)
    shown = presence.shown_at(order, request.user, since=request.GET.get("since", ""))
    if request.GET.get("known") == shown.digest:
        return HttpResponse(status=204)
    return render(request, "billing/_presence.html", {"order": order, "presence": shown})


@staff_page(right="billing.add_reviewnote")
@require_POST
def note_add(request: Any, number: str) -> HttpResponse:
    order = find_order_for_staff(number)
    form = NoteAddForm(request.POST)
    if not form.is_valid():
        return review_page(request, order, note=form)
    order.add_note(form.cleaned_data["text"], by=request.user)
    return redirect("billing:review-show", order.number)


@staff_page(right="billing.add_refund")
@require_POST
def refund_record(request: Any, number: str) -> HttpResponse:
    order = find_order_for_staff(number)
    form = RefundRecordForm(request.POST)
    if not form.is_valid():
        return review_page(request, order, refund=form)
    try:
        order.record_refund(**form.cleaned_data, by=request.user)
    except OrderConflict as error:
        return refused(request, number, error)
    messages.success(request, "The refund is recorded.")
    return redirect("billing:review-show", order.number)
