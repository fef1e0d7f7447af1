"""The cards that are kept for a customer: seeing them, adding one at Stripe, choosing one, removing one."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, asks_again, customer_page
from billing import card_setups
from billing.hosted_pages import CardUnavailable
from billing.models import CardOnFile
from billing.models.kept_card import MOST
from billing.stripe_terms import is_on

SHOWN = 2 * MOST  # those that paid an order come on top of those that were added


class CardRemoveForm(forms.Form):
    """Nothing to enter, unless no card is left that renewals could be charged to."""

    confirm = forms.BooleanField(label="I know that renewals are then not paid by themselves")

    def __init__(self, data: Any = None, *, is_needed: bool) -> None:
        super().__init__(data)
        if not is_needed:
            del self.fields["confirm"]


@customer_page(Permission.ORDERS_READ)
@require_safe
def card_list(request: Any) -> HttpResponse:
    return _list(request)


@customer_page(Permission.ORDERS_EDIT, before_activation=True)
@require_POST
def card_add(request: Any) -> HttpResponse:
    """To Stripe's page. Also while the customer is suspended, for that may be the way out."""
    if request.customer.blocked_reason and not request.customer.suspension:
        raise PermissionDenied(request.customer.blocked_reason)
    try:
        return HttpResponseRedirect(card_setups.add_card(request.customer, by=request.user))
    except ValidationError as refusal:
        return _list(request, refusal=refusal.messages[0], status=409)
    except CardUnavailable as unavailable:
        return _list(request, refusal=str(unavailable), status=unavailable.status)


@customer_page(Permission.ORDERS_READ)
@require_safe
def card_added(request: Any) -> HttpResponse:
    """Where the browser comes back to, whether a card was saved or not."""
    try:
        card = card_setups.learn_card(request.customer)
    except CardUnavailable:
        text = "We have not heard from Stripe yet. If you saved a card, it stands here in a minute."
        messages.info(request, text)
    else:
        if card:
            messages.success(request, f"{card} is saved.")
        else:
            messages.info(request, "No card was saved.")
    return redirect("billing:card-list", request.customer.username)


@customer_page(Permission.ORDERS_EDIT, before_activation=True)
@require_POST
def card_make_default(request: Any, card: str) -> HttpResponse:
    found = get_object_or_404(request.customer.cards, pk=card)
    if found.make_default(by=request.user):
        messages.success(request, f"Renewals are charged to {found} from now on.")
    elif found.removed_at:
        messages.info(request, f"{found} is not kept any more.")
    return redirect("billing:card-list", request.customer.username)


@customer_page(Permission.ORDERS_EDIT, before_activation=True)
@asks_again
def card_remove(request: Any, card: str) -> HttpResponse:
    found = get_object_or_404(request.customer.cards, pk=card)
    heir = found.heir
    running = request.customer.subscriptions.filter(ended_at=None).select_related("plan").first()
    form = CardRemoveForm(request.POST if request.method == "POST" else None, is_needed=running and not heir)
    if found.removed_at:
        return redirect("billing:card-list", request.customer.username)
    if form.is_valid():
        return _remove(request, found, spare_last=bool(running and not form.cleaned_data.get("confirm")))
    context = {"card": found, "form": form, "heir": heir, "running": running}
    return render(request, "billing/card_remove.html", context, status=422 if form.is_bound else 200)


def _remove(request: Any, card: CardOnFile, *, spare_last: bool) -> HttpResponse:
    try:
        if card.remove(by=request.user, spare_last=spare_last):
            messages.success(request, f"{card} is removed. Nothing is charged to it any more.")
    except ValidationError as refusal:  # another tab removed the other one meanwhile
        messages.error(request, f"{refusal.messages[0]} Nothing was changed.")
        return redirect("billing:card-remove", request.customer.username, card.pk)
    return redirect("billing:card-list", request.customer.username)


def _list(request: Any, refusal: str = "", status: int = 200) -> HttpResponse:
    cards: list[CardOnFile] = list(request.customer.cards.filter(removed_at=None)[:SHOWN])
    context = {"cards": cards, "refusal": refusal, "takes_cards": is_on()}
    answer = render(request, "billing/card_list.html", context, status=status)
    if is_on():
        # The answer to the button is a redirect to Stripe, and browsers ask the policy about that, too.
        answer._csp_update = {"form-action": [settings.STRIPE_CHECKOUT_ORIGIN]}  # type: ignore[attr-defined]
    return answer
