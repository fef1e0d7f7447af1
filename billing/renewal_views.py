"""Paying the invoice of a renewal by card: to Stripe's page, and back from it."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, customer_page
from billing import card_payments
from billing.models import Invoice, SaleConflict
from billing.renewal_standing import RenewalStanding


@customer_page(Permission.ORDERS_EDIT, before_activation=True)
@require_POST
def invoice_pay(request: Any, invoice: str) -> HttpResponse:
    """Also while something is stopped, for that is the way out."""
    found = _renewal_invoice(request, invoice)
    try:
        return HttpResponseRedirect(card_payments.pay_by_card(found.sale, by=request.user))
    except (SaleConflict, card_payments.CardUnavailable) as refusal:
        messages.error(request, str(refusal))
        return redirect(found)


@customer_page(Permission.ORDERS_READ)
@require_safe
def invoice_paid(request: Any, invoice: str) -> HttpResponse:
    """Where the browser comes back to, whether somebody paid or not."""
    found = _renewal_invoice(request, invoice)
    try:
        card_payments.learn_payment(found.sale)
    except card_payments.CardUnavailable:
        text = "We have not heard from Stripe yet. If you paid, this page will say so in a minute."
        messages.info(request, text)
        return redirect(found)
    if _renewal_invoice(request, invoice).is_settled:
        messages.success(request, "Thank you, your payment is in.")
    else:
        messages.info(request, "Nothing was paid by card. You can try again, or pay in another way.")
    return redirect(found)


def lead_to_stripe(answer: HttpResponse, standing: RenewalStanding | None) -> HttpResponse:
    """A page with the button: the answer to it is a redirect to Stripe, and browsers ask the policy about that, too."""
    if standing and standing.takes_cards:
        answer._csp_update = {"form-action": [settings.STRIPE_CHECKOUT_ORIGIN]}  # type: ignore[attr-defined]
    return answer


def _renewal_invoice(request: Any, number: str) -> Invoice:
    """404 for that of an order, which is paid on the order's page."""
    invoices = request.customer.invoices.select_related("renewal__subscription__customer", "renewal__plan")
    return get_object_or_404(invoices.filter(corrects=None, order=None), number=number)
