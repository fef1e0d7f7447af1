"""Adding a card without paying anything: a page at Stripe, and learning what came of it, as in `billing.card_payments`."""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils import timezone

from accounts.models import Customer, User
from billing import hosted_pages
from billing.hosted_pages import end, is_open, may_look, told_to_people
from billing.models import CardOnFile, CardSetup, StripeCustomer
from billing.models.kept_card import MOST
from billing.stripe_terms import is_on
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from billing.stripe_cards import CardFacts, SetupFacts

logger = logging.getLogger(__name__)

NOT_NOW = "Stripe refuses to open a page for your card. Write to us; nothing was changed."
OFF = "Cards cannot be kept here."
TOO_MANY = f"{MOST} cards are kept already. Remove one first."


def add_card(customer: Customer, *, by: User) -> str:
    """The address of the page at Stripe where a card is saved: the one that is open, or a new one.

    ValidationError where no card may be added, CardUnavailable where Stripe does not answer, CardRefused where it never
    will.
    """
    if not is_on():
        raise ValidationError(OFF)
    with told_to_people(NOT_NOW):
        return hosted_pages.find_page(lambda: _open_for(customer, by=by), _page_of, _ask_for_page)


def learn_card(customer: Customer) -> CardOnFile | None:
    """Ask Stripe about the customer's open page, now; the card that was saved on the last page. CardUnavailable where it
    does not answer, or was asked just now.
    """
    with told_to_people(NOT_NOW):
        for setup in customer.card_setups.filter(ended_at=None).exclude(session=""):
            hosted_pages.look_for_person(setup, look_at)
    newest = customer.card_setups.first()
    if newest is None or newest.ended_at is None:
        return None
    added = CardOnFile.objects.filter(customer=customer, removed_at=None, added_at__gte=newest.at)
    return added.order_by("-added_at").first()


def look_at_card_setup(setup_id: str) -> bool:
    """The same in the background, where it is due: false when it is not, or when somebody else is at it."""
    return hosted_pages.look_when_due(CardSetup, setup_id, look_at)


def look_at_session(session: str) -> bool:
    """What Stripe told of a page by its own id; false where the page is none of ours."""
    from billing import stripe_cards

    setup = CardSetup.objects.filter(session=session).first()
    if setup is None:
        facts = stripe_cards.look_at_setup(session)
        setup = hosted_pages.take_named(CardSetup, facts, facts.ours)
    if setup is None:
        return False
    look_at(setup)
    return True


def look_at_setup_intent(intent: str) -> bool:
    """The same by Stripe's id of what was done on the page."""
    from billing import stripe_cards

    ours = stripe_cards.look_at_setup_intent(intent)
    setup = hosted_pages.find_named(CardSetup, ours)
    if setup is None:
        return False
    if setup.session:  # otherwise the event about the page itself names it
        look_at(setup)
    return True


def look_at(setup: CardSetup) -> bool:
    """Make true here how the page stands at Stripe; where nobody is to use it any more, end it there. Returns whether
    somebody can still use it. StripeGatewayError.
    """
    from billing import stripe_calls, stripe_cards

    try:
        facts = stripe_cards.look_at_setup(setup.session)
    except stripe_calls.StripeGatewayError as error:
        if error.code != stripe_calls.GONE:
            raise
        logger.error("Stripe has no page %s any more. Is its key that of another account?", setup.session)
        end(setup, setup.session)
        return False
    if facts.state is stripe_cards.SetupState.OPEN and not is_open(setup):
        facts = stripe_cards.expire_setup(setup.session)
    if facts.state is stripe_cards.SetupState.OPEN:
        return True
    if facts.card:
        _keep_card(setup, facts.card)
    end(setup, setup.session)
    return False


def _open_for(customer: Customer, *, by: User) -> CardSetup:
    """The open page of the customer, or the row of a new one. ValidationError where there are too many cards."""
    with unit_of_work():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        if CardOnFile.objects.filter(customer=customer, removed_at=None).count() >= MOST:
            raise ValidationError(TOO_MANY)
        if setup := customer.card_setups.filter(ended_at=None).first():
            if setup.by != by:  # who comes to it last is who enters a card there
                setup.by = by
                setup.save(update_fields=["by"])
            return setup
        soon = timezone.now() + timedelta(minutes=1)
        return CardSetup.objects.create(customer=customer, by=by, next_look_at=soon)


def _page_of(setup: CardSetup) -> str:
    """Where it is saved; empty where it was saved a moment ago, or is over."""
    asked_just_now = is_open(setup) and not may_look(setup)
    return setup.url if asked_just_now or look_at(setup) else ""


def _keep_card(setup: CardSetup, facts: "CardFacts") -> None:
    row = StripeCustomer.objects.filter(customer=setup.of).first()
    with unit_of_work():
        # As whoever is being erased has it locked; what they leave behind is for nobody.
        Customer.objects.select_for_update(no_key=True).get(pk=setup.customer_id)
        setup.refresh_from_db(fields=["is_dropped", "by"])
        if row:
            row.keep_card(facts, by=setup.by, wanted=not setup.is_dropped)


def _ask_for_page(setup: CardSetup) -> str:
    from billing import stripe_cards

    def make(customer: str) -> "SetupFacts":
        return stripe_cards.open_setup(
            key=f"setup-{setup.pk}",
            ours=str(setup.pk),
            customer=customer,
            return_url=settings.PANEL_URL + reverse("billing:card-added", args=[setup.customer.username]),
        )

    return hosted_pages.ask_for_page(setup, setup.by.email, make, look_at)
