"""Changing the plan, or how often it is paid: what there is, what a change costs, and taking one back."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, asks_again, customer_page
from billing import crediting
from billing.coupon_standing import coupon_then
from billing.forms import ShownSumForm
from billing.invoice_document import in_words
from billing.kept_cards import default_card
from billing.models import Period, PlanVersion, PriceChanged, RenewalKind, Subscription
from billing.plan_options import limits_beside, open_plans, options_for
from billing.renewing import announced_days
from billing.stripe_amounts import takes
from billing.stripe_terms import is_on

Quote = TypeVar("Quote")

MISSING = "The sum is missing. Look it over, and try again."
CHANGED = "What it costs has changed since you opened this. Nothing was changed: look it over once more."


@customer_page(Permission.ORDERS_EDIT)
@require_safe
def plan_choose(request: Any) -> HttpResponse:
    service = _service(request)
    context = {
        "service": service, "options": options_for(service), "change": service.planned_change,
        "period": service.other_period, "price_minor": service.other_price_minor,
    }  # fmt: skip
    return render(request, "billing/plan_choose.html", context)


@customer_page(Permission.ORDERS_EDIT)
@asks_again
def plan_change(request: Any, plan: str) -> HttpResponse:
    service, version = _service(request), get_object_or_404(open_plans(), slug=plan).present_version()
    preview = partial(_preview, request, service, version)
    if request.method != "POST":
        return preview()
    if refused := _refusal(request, partial(service.change_plan, version), preview):
        return refused
    renewal = service.open_renewal
    if renewal and renewal.kind == RenewalKind.UPGRADE:
        return redirect(renewal)
    return redirect("billing:billing-show", request.customer.username)


@customer_page(Permission.ORDERS_EDIT)
@asks_again
def period_change(request: Any, period: str) -> HttpResponse:
    if period not in Period.values:
        raise Http404
    service, wanted = _service(request), Period(period)
    preview = partial(_period_preview, request, service, wanted)
    if request.method != "POST":
        return preview()
    refused = _refusal(request, partial(service.change_period, wanted), preview)
    return refused or redirect("billing:billing-show", request.customer.username)


@customer_page(Permission.ORDERS_EDIT, before_activation=True)
@require_POST
def plan_keep(request: Any) -> HttpResponse:
    """Also of a service that was to be had back."""
    service = request.customer.subscriptions.order_by("-started_at").first()
    try:
        if service and service.keep_plan(by=request.user):
            messages.success(request, "It is taken back. Nothing else changes.")
    except ValidationError as refusal:
        messages.error(request, refusal.messages[0])
    return redirect("billing:billing-show", request.customer.username)


def _service(request: Any) -> Subscription:
    running = request.customer.subscriptions.select_related("plan", "version")
    service: Subscription = get_object_or_404(running, ended_at=None)
    service.customer = request.customer
    return service


def _refusal(
    request: Any, change: Callable[..., bool], preview: Callable[[str, int], HttpResponse]
) -> HttpResponse | None:
    """Make the change for the sum that was shown; where that cannot be, the page that says why."""
    form = ShownSumForm(request.POST)
    if not form.is_valid():
        return preview(MISSING, 422)
    try:
        if not change(total_minor=form.cleaned_data["total_minor"], by=request.user):
            messages.info(request, "That is so already. Nothing was changed.")
    except PriceChanged:
        return preview(CHANGED, 409)
    except ValidationError as refusal:
        return preview(refusal.messages[0], 422)
    return None


def _preview(
    request: Any, service: Subscription, version: PlanVersion, problem: str = "", status: int = 200
) -> HttpResponse:
    """What it costs, or why it cannot be; `problem` is why it was not done."""
    why, quote = service.why_not_change(version), None
    if not why and version.pk != service.version_id:
        why, quote = _asked(lambda: service.plan_quote(version))
    by_credit = bool(quote and crediting.covers(service.customer, service.currency, quote.total_minor))
    card = default_card(service.customer) if is_on() and quote and not by_credit else None
    by_card = card if quote and takes(quote.total_minor, service.currency) else None
    form = ShownSumForm(initial={"total_minor": quote.total_minor}) if quote else None
    context = {
        "service": service, "version": version, "why": why, "problem": problem, "quote": quote, "form": form,
        "card": by_card, "by_credit": by_credit, "limits": limits_beside(service.version, version),
        "renewal": service.open_renewal,
    }  # fmt: skip
    return render(request, "billing/plan_change.html", context, status=status)


def _period_preview(
    request: Any, service: Subscription, period: Period, problem: str = "", status: int = 200
) -> HttpResponse:
    """What it costs, or why it cannot be; `problem` is why it was not done."""
    why, quote = service.why_not_period(period), None
    if not why and period != service.period:
        why, quote = _asked(lambda: service.period_quote(period))
    context = {"service": service, "period": period, "why": why, "problem": problem, "quote": quote}
    if quote:
        context |= {
            "form": ShownSumForm(initial={"total_minor": quote.total_minor}),
            "label": f"Pay {period.label.lower()} from {in_words(quote.on)} on",
            "coupon": coupon_then(service, quote),
            "invoice_on": max(quote.on - timedelta(days=announced_days(period)), timezone.localdate()),
            "renewal": service.open_renewal,
        }
    return render(request, "billing/period_change.html", context, status=status)


def _asked(price: Callable[[], Quote]) -> tuple[str, Quote | None]:
    """Why the price cannot be said, and the price."""
    try:
        return "", price()
    except ValidationError as refusal:  # logged there; staff enter what is missing
        return refusal.messages[0], None
