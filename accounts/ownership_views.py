"""Handing a customer over: the owner offers, the other accepts."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, asks_again, customer_page, may
from accounts.member_forms import OwnershipOfferForm
from accounts.models import OwnershipOffer


@customer_page(Permission.MEMBERS_READ)
@require_safe
def ownership_page(request: Any) -> HttpResponse:
    return _page(request)


@customer_page(Permission.OWNERS_EDIT)
@require_POST
@asks_again(form_on="../")
def ownership_offer(request: Any) -> HttpResponse:
    form = OwnershipOfferForm(request.POST, customer=request.customer)
    if form.is_valid() and (offer := form.run(request.customer.offer_ownership, by=request.user)):
        messages.success(request, f"{offer.offered_to.email} has got your offer by mail.")
        return redirect(offer)
    return _page(request, form=form, status=422)


@customer_page(Permission.OWNERS_EDIT)
@require_POST
def ownership_withdraw(request: Any) -> HttpResponse:
    offer = _offer(request)
    if offer and offer.withdraw(by=request.user):
        messages.success(request, "The offer is withdrawn.")
    return redirect("accounts:ownership-page", request.customer.username)


@customer_page(Permission.MEMBERS_READ)
@require_POST
@asks_again(form_on="../")
def ownership_accept(request: Any) -> HttpResponse:
    offer = _offer(request)
    if offer is None or offer.offered_to != request.user:
        return _page(request, refusal=["Nobody offers you the ownership, or not any more."], status=409)
    try:
        offer.accept(by=request.user)
    except ValidationError as refusal:
        return _page(request, refusal=refusal.messages, status=409)
    messages.success(request, f"You are owner of {request.customer.name} now.")
    return redirect("accounts:member-list", request.customer.username)


@customer_page(Permission.MEMBERS_READ)
@require_POST
def ownership_decline(request: Any) -> HttpResponse:
    offer = _offer(request)
    if offer is None or not offer.decline(by=request.user):
        return _page(request, refusal=["Nobody offers you the ownership, or not any more."], status=409)
    messages.success(request, "You have declined. Nothing was changed.")
    return redirect("accounts:member-list", request.customer.username)


def _offer(request: Any) -> OwnershipOffer | None:
    pending = request.customer.ownership_offers.pending()
    return pending.select_related("offered_by", "offered_to").first()


def _page(
    request: Any,
    form: OwnershipOfferForm | None = None,
    refusal: list[str] | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "offer": _offer(request),
        "may_offer": may(request.role, Permission.OWNERS_EDIT),
        "form": form or OwnershipOfferForm(customer=request.customer),
        "refusal": refusal,
    }
    return render(request, "accounts/ownership_page.html", context, status=status)
