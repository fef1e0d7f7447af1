"""Paying an order by card: a page at Stripe, and learning what came of it.

Whoever hears first that somebody paid (the page to which the browser comes back, the webhook, the sweep) asks Stripe how
the page stands and makes that true here, under the lock of the order; whoever comes later finds it done. So nothing
depends on what arrives, how often and in which order.
"""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from billing import hosted_pages
from billing.hosted_pages import CardRefused, CardUnavailable, end, is_open, may_look, told_to_people
from billing.models import Checkout, Sale, SaleConflict, StripeCustomer
from billing.stripe_amounts import takes
from billing.stripe_terms import is_on

if TYPE_CHECKING:
    from billing.stripe_gateway import CheckoutFacts

__all__ = ["CardRefused", "CardUnavailable"]

logger = logging.getLogger(__name__)

NOT_BY_CARD = "This cannot be paid by card; pay in another way. Nothing was charged."


def may_pay(sale: Sale) -> bool:
    """Whether it has a button for cards: something is due, and Stripe takes such an amount."""
    return is_on() and (due := sale.due_minor) > 0 and takes(due, sale.currency)


def pay_by_card(sale: Sale, *, by: User) -> str:
    """The address of the page at Stripe where what is due is paid: the one that is open, or a new one.

    SaleConflict where nothing is due, CardUnavailable where Stripe does not answer, CardRefused where it never will.
    """
    if not is_on():
        raise SaleConflict("This cannot be paid by card here. Nothing was changed.")
    with told_to_people(NOT_BY_CARD):
        return hosted_pages.find_page(lambda: _open_for(sale, by=by), _page_of, _ask_for_page)


def learn_payment(sale: Sale) -> None:
    """Ask Stripe about its open page, now. CardUnavailable where it does not answer, or was asked just now."""
    with told_to_people(NOT_BY_CARD):
        for checkout in sale.checkouts.filter(ended_at=None).exclude(session=""):
            hosted_pages.look_for_person(checkout, look_at)


def look_at_checkout(checkout_id: str) -> bool:
    """The same in the background, where it is due: false when it is not, or when somebody else is at it."""
    return hosted_pages.look_when_due(Checkout, checkout_id, look_at)


def look_at_session(session: str) -> bool:
    """What Stripe told of a page by its own id; false where the page is none of ours."""
    from billing import stripe_gateway as gateway

    checkout = Checkout.objects.filter(session=session).first()
    if checkout is None:
        facts = gateway.look_at_checkout(session)
        checkout = hosted_pages.take_named(Checkout, facts, facts.ours)
    if checkout is None:
        return False
    look_at(checkout)
    return True


def look_at(checkout: Checkout) -> bool:
    """Make true here how the page stands at Stripe; where nobody is to pay there any more, end it there. Returns whether
    somebody can still pay there. StripeGatewayError.
    """
    from billing import stripe_calls
    from billing import stripe_gateway as gateway

    try:
        facts = gateway.look_at_checkout(checkout.session)
    except stripe_calls.StripeGatewayError as error:
        if error.code != stripe_calls.GONE:
            raise
        logger.error("Stripe has no page %s any more. Is its key that of another account?", checkout.session)
        end(checkout, checkout.session)
        return False
    if facts.state is gateway.SessionState.OPEN and not _is_wanted(checkout):
        facts = gateway.expire_checkout(checkout.session)
    if facts.state is gateway.SessionState.PAID:
        checkout.sale.receive_card_payment(
            intent=facts.intent,
            card=str(facts.card or ""),
            amount_minor=facts.amount_minor,
            currency=facts.currency,
        )
        _keep_card(checkout, facts)
    if facts.state is gateway.SessionState.OPEN:
        return True
    end(checkout, checkout.session)
    return False


def _open_for(sale: Sale, *, by: User) -> Checkout:
    """Its open page, or the row of a new one. SaleConflict where nothing is due."""
    with sale._locked() as sale:
        sale.refuse_payment()
        if not takes(sale.due_minor, sale.currency):
            raise SaleConflict(NOT_BY_CARD)
        wanted = {"amount_minor": sale.due_minor, "currency": sale.currency}
        checkout: Checkout | None = sale.checkouts.filter(ended_at=None).first()
        # One that has a page is looked at before it is ended, for it may have been paid.
        if checkout and (checkout.session or all(getattr(checkout, name) == wanted[name] for name in wanted)):
            return checkout
        if checkout:
            end(checkout, "")
        soon = timezone.now() + timedelta(minutes=1)
        made: Checkout = sale.checkouts.create(by=by, next_look_at=soon, **wanted)
        return made


def _page_of(checkout: Checkout) -> str:
    """Where it is paid; empty where it was paid a moment ago, is over, or wants a sum that is not due any more."""
    asked_just_now = _is_wanted(checkout) and not may_look(checkout)
    return checkout.url if asked_just_now or look_at(checkout) else ""


def _ask_for_page(checkout: Checkout) -> str:
    from billing import stripe_gateway as gateway

    sale = checkout.sale

    def make(customer: str) -> "CheckoutFacts":
        return gateway.open_checkout(
            key=f"checkout-{checkout.pk}",
            ours=str(checkout.pk),
            number=sale.label,
            title=sale.title,
            amount_minor=checkout.amount_minor,
            currency=checkout.currency,
            customer=customer,
            return_url=settings.PANEL_URL + sale.paid_path,
        )

    return hosted_pages.ask_for_page(checkout, sale.payer_email, make, look_at)


def _keep_card(checkout: Checkout, facts: "CheckoutFacts") -> None:
    """The card that paid is kept for renewals; where the order came to nothing there are none, so Stripe forgets it."""
    row = StripeCustomer.objects.filter(customer=checkout.of).first()
    if row is None or facts.card is None:
        return
    with checkout.sale._locked() as sale:
        checkout.refresh_from_db(fields=["is_dropped"])
        wanted = not sale.is_over and not checkout.is_dropped
        row.keep_card(facts.card, by=checkout.by, wanted=wanted, paid_on=checkout)


def _is_wanted(checkout: Checkout) -> bool:
    """Whether the row has this page, and the order what it asks for."""
    if not is_open(checkout):
        return False
    checkout.refresh_from_db()
    sale = checkout.sale
    return sale.due_minor == checkout.amount_minor and sale.currency == checkout.currency
