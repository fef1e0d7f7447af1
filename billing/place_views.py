"""Placing an order: filled in, looked over, sent; or put aside, and taken up again on whatever device."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from billing.coupon_guesses import count_guess, is_guessing
from billing.drafts import REVIEW, draft_of, drop_draft, first_values, keep_draft, lead_to_sign_up
from billing.models import Order, OrderDraft
from billing.ordering import place_order
from billing.place_form import OrderPlaceForm
from billing.submissions import read_submission
from foundation.client_address import client_address
from foundation.limits import too_many


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def order_place(request: Any) -> HttpResponse:
    """A POST is the order itself, unless its `step` says that it is on the way there."""
    if request.method != "POST":
        return _begin(request)
    form = OrderPlaceForm(request.POST)
    if is_guessing(request, form):
        return too_many(request)
    answer = _take(request, form)
    count_guess(request, form)
    return answer


def _take(request: Any, form: OrderPlaceForm) -> HttpResponse:
    match request.POST.get("step"):
        case "change":
            return _form_page(request, form.as_entered())
        case "save":
            return _save(request, form)
        case "discard":
            drop_draft(request)
            messages.success(request, "What you had entered is discarded.")
            return redirect("billing:order-place")
        case "review":
            return _to_review(request, form)
        case _:
            return _send(request, form)


def _begin(request: Any) -> HttpResponse:
    draft = draft_of(request)
    if draft and request.user.is_authenticated and request.GET.get("step") == "review":
        form = OrderPlaceForm(draft)
        if is_guessing(request, form):
            return too_many(request)
        count_guess(request, form)
        if form.is_valid():
            return render(request, "billing/order_review.html", {"form": form})
    return _form_page(request, OrderPlaceForm(initial=first_values(request, draft)), draft=bool(draft))


def _save(request: Any, form: OrderPlaceForm) -> HttpResponse:
    keep_draft(request, form)
    if not request.user.is_authenticated:
        return lead_to_sign_up(form)
    kept = f"Saved. Sign in on any device to go on with it; we keep it for {OrderDraft.KEPT.days} days."
    messages.success(request, kept)
    return redirect("billing:order-place")


def _to_review(request: Any, form: OrderPlaceForm) -> HttpResponse:
    person = request.user if request.user.is_authenticated else None
    if not (form.is_valid() and form.is_username_free() and form.is_coupon_left(person)):
        return _form_page(request, form, status=422)
    keep_draft(request, form)
    if not request.user.is_authenticated:
        return lead_to_sign_up(form)
    return redirect(f"{reverse('billing:order-place')}?{REVIEW}")


def _send(request: Any, form: OrderPlaceForm) -> HttpResponse:
    if form.is_valid() and not request.user.is_authenticated:
        keep_draft(request, form)
        return lead_to_sign_up(form)
    if form.is_valid() and (order := _place(request, form)):
        return redirect(order)
    return _form_page(request, form, status=422)


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


def _form_page(
    request: HttpRequest, form: OrderPlaceForm, *, draft: bool = False, status: int = 200
) -> HttpResponse:
    context = {"form": form, "draft": draft, "kept_days": OrderDraft.KEPT.days, "taxes": settings.TAX}
    return render(request, "billing/order_place.html", context, status=status)
