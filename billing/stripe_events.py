"""What Stripe tells us by itself. An event is kept first, answered at once and worked later; it is a hint and no more."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import F
from django.utils import timezone

from billing import card_disputes, card_payments, card_refunds, card_setups, kept_cards, stripe_customers
from billing.models import CardSetup, Checkout, EventOutcome, StripeEvent
from billing.stripe_terms import LEASE, is_on
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from billing.stripe_gateway import EventFacts

logger = logging.getLogger(__name__)

KEPT = timedelta(days=90)
LONGEST_WAIT = timedelta(hours=1)


def _look_at_session(session: str) -> bool:
    """What a page is for is known here, or, where the reply that named it is under way or was lost, at Stripe."""
    from billing import stripe_cards

    looks = {"checkout": card_payments.look_at_session, "setup": card_setups.look_at_session}
    if Checkout.objects.filter(session=session).exists():
        return looks["checkout"](session)
    if CardSetup.objects.filter(session=session).exists():
        return looks["setup"](session)
    look = looks.get(stripe_cards.purpose_of(session))
    return bool(look and look(session))


# How the kinds that are worked begin, and who looks at what they are about.
_LOOKS: dict[str, Callable[[str], bool]] = {
    "customer.deleted": stripe_customers.note_deletion,
    "checkout.session.": _look_at_session,
    "payment_method.": kept_cards.look_at_method,
    "refund.": card_refunds.look_at_refund,
    "charge.dispute.": card_disputes.look_at_dispute,
    "setup_intent.succeeded": card_setups.look_at_setup_intent,
}


def keep_event(facts: "EventFacts") -> bool:
    """Keep it and ask for its work; false where we have it already."""
    from billing.tasks import work_stripe_event

    is_ours = facts.kind.startswith(tuple(_LOOKS)) and bool(facts.about)
    todo = {} if is_ours else {"outcome": EventOutcome.UNKNOWN, "next_try_at": None}
    with unit_of_work():
        values = {"kind": facts.kind, "about": facts.about, **todo}
        _, made = StripeEvent.objects.get_or_create(event=facts.event, defaults=values)
        if made and is_ours:
            work_stripe_event.delay_on_commit(facts.event)
        return made


def work_event(event_id: str) -> bool:
    """Look at what it is about; false when it is done, not due, or somebody else is at it."""
    from billing.stripe_calls import StripeGatewayError

    now = timezone.now()
    due = StripeEvent.objects.filter(pk=event_id, outcome="", next_try_at__lte=now)
    if not due.update(next_try_at=now + LEASE, attempts=F("attempts") + 1):
        return False
    event = StripeEvent.objects.get(pk=event_id)
    look = next(look for begins, look in _LOOKS.items() if event.kind.startswith(begins))
    try:
        outcome = EventOutcome.WORKED if look(event.about) else EventOutcome.FOREIGN
    except StripeGatewayError as error:
        logger.warning("Event %s waits: %s", event.pk, error)
        if error.retry:
            _put_off(event)
            return False
        outcome = EventOutcome.FOREIGN  # Stripe knows nothing under this id, or not for our key
    except Exception:  # whatever breaks, it is not worked, and not tried at once again
        logger.exception("Event %s broke.", event.pk)
        _put_off(event)
        return False
    StripeEvent.objects.filter(pk=event.pk).update(outcome=outcome, next_try_at=None)
    return True


def due_events(limit: int = 200) -> list[str]:
    due = StripeEvent.objects.filter(outcome="", next_try_at__lte=timezone.now()).order_by("next_try_at")
    return list(due.values_list("pk", flat=True)[:limit]) if is_on() else []


def forget_old_events() -> int:
    """Returns how many."""
    return StripeEvent.objects.filter(received_at__lt=timezone.now() - KEPT).delete()[0]


def _put_off(event: StripeEvent) -> None:
    gap = min(timedelta(minutes=2 ** min(event.attempts - 1, 6)), LONGEST_WAIT)
    StripeEvent.objects.filter(pk=event.pk, outcome="").update(next_try_at=timezone.now() + gap)
