"""Having back a service that has ended."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from accounts.access import Permission, asks_again, customer_page
from accounts.models import Customer
from billing import crediting
from billing.forms import ShownSumForm
from billing.kept_cards import default_card
from billing.models import CardOnFile, Invoice, PriceChanged, ReturnQuote, Subscription
from billing.stripe_amounts import takes
from billing.stripe_terms import is_on


@dataclass(frozen=True)
class EndedService:
    """One that runs no more: `quote` says what having it back costs, None where `why` says that it cannot be, or its
    `invoice` is to be paid. `card` is the one that would be charged at once, None where they pay by hand, or
    `by_credit`: with what we hold for them.
    """

    subscription: Subscription
    why: str
    quote: ReturnQuote | None
    invoice: Invoice | None
    card: CardOnFile | None = None
    by_credit: bool = False


def ended_service(customer: Customer) -> EndedService | None:
    """The last that ended."""
    found = customer.subscriptions.select_related("plan").order_by("-ended_at").first()
    if found is None:
        return None
    found.customer = customer
    if renewal := found.open_renewal:
        invoices = renewal.invoices.with_standing().select_related("renewal__plan", "renewal__subscription")
        return EndedService(found, "", None, invoices.filter(corrects=None).order_by("-edition").first())
    why = found.why_not_back()
    if why:
        return EndedService(found, why, None, None)
    try:
        quote = found.return_quote()
    except ValidationError as error:  # logged there; staff enter what is missing
        return EndedService(found, error.messages[0], None, None)
    if crediting.covers(customer, found.currency, quote.total_minor):
        return EndedService(found, "", quote, None, by_credit=True)
    by_card = is_on() and takes(quote.total_minor, found.currency)
    return EndedService(found, "", quote, None, default_card(customer) if by_card else None)


@customer_page(Permission.ORDERS_EDIT, before_activation=True)
@asks_again(form_on="../")
@require_POST
def subscription_come_back(request: Any) -> HttpResponse:
    found = get_object_or_404(request.customer.subscriptions.order_by("-ended_at")[:1])
    form = ShownSumForm(request.POST)
    try:
        shown = form.cleaned_data["total_minor"] if form.is_valid() else -1
        if not found.come_back(total_minor=shown, by=request.user):
            messages.info(request, "That is so already. Nothing was changed.")
        elif renewal := found.open_renewal:
            return redirect(renewal)
        else:
            messages.success(request, "The service runs again, and everything is as it was.")
    except PriceChanged:
        messages.error(request, "What it costs is not what you saw. Nothing was done: look once more.")
    except ValidationError as refusal:
        messages.error(request, refusal.messages[0])
    return redirect("billing:billing-show", request.customer.username)
