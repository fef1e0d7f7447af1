"""Cards that are kept: looking whether Stripe still has them as we know them, having it forget those that were removed,
and telling their owners that one expires.

Stripe remembers a card that was taken off. One that it does not know at all is of another account, whose key we should not
have: then nothing is noted, and it is asked again.
"""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import JSONObject
from django.utils import timezone

from accounts.models import Customer
from billing import stripe_customers
from billing.models import CardOnFile
from billing.models.kept_card import FIRST_WARNING, LAST_WARNING, LOOK_EVERY, blank_cards, end_of
from billing.stripe_terms import LEASE, is_on

logger = logging.getLogger(__name__)

LONGEST_WAIT = timedelta(hours=6)
AT_ONCE = 200
KEPT_REMOVED = timedelta(days=90)  # while somebody may ask which card it was


def default_card(customer: Customer) -> CardOnFile | None:
    """The card that renewals are charged to; from `default_cards`, where somebody has fetched it with other things."""
    if (fetched := getattr(customer, "default_cards", None)) is not None:
        return fetched[0] if fetched else None
    return CardOnFile.objects.filter(customer=customer, is_default=True).first()


def default_card_of(customer: str) -> Subquery:
    """For `annotate`, where a query of its own would be one too many: what `know_default_card` takes, of the customer to
    whom that field leads.
    """
    cards = CardOnFile.objects.filter(customer=OuterRef(customer), is_default=True)
    return Subquery(cards.values(facts=JSONObject(id="id", brand="brand", last4="last4"))[:1])


def know_default_card(customer: Customer, facts: dict[str, str] | None) -> None:
    """Let `default_card` of this customer answer from what was annotated: its id, and what it is called."""
    card = facts and CardOnFile(pk=UUID(facts["id"]), brand=facts["brand"], last4=facts["last4"])
    customer.default_cards = [card] if card else []  # type: ignore[attr-defined]


def look_at_card(card_id: str) -> bool:
    """Look at one that is due, or have Stripe forget it; false where it is not due, or somebody else is at it."""
    from billing.stripe_calls import StripeGatewayError

    now = timezone.now()
    due = CardOnFile.objects.filter(pk=card_id, next_look_at__lte=now)
    if not is_on() or not due.update(next_look_at=now + LEASE, looks=F("looks") + 1):
        return False
    card = CardOnFile.objects.get(pk=card_id)
    try:
        next_look_at = _forget(card) if card.removed_at else _look(card)
    except StripeGatewayError as error:
        level = logging.WARNING if error.retry else logging.ERROR
        logger.log(level, "Card %s could not be looked at: %s", card.pk, error)
        next_look_at = now + min(timedelta(minutes=2 ** min(card.looks - 1, 9)), LONGEST_WAIT)
    # Not where it was removed meanwhile, and is to be forgotten now.
    ours = CardOnFile.objects.filter(pk=card.pk, next_look_at=now + LEASE)
    ours.update(next_look_at=next_look_at)
    return True


def look_at_method(method: str) -> bool:
    """What Stripe told of a card by its own id; false where it is none of ours."""
    card = CardOnFile.objects.filter(method=method).first()
    if card is None:
        return False
    if not card.removed_at:
        _look(card)
    return True


def due_cards() -> list[str]:
    """Those that the sweep has to look at, or to have forgotten."""
    due = CardOnFile.objects.filter(next_look_at__lte=timezone.now()).order_by("next_look_at")
    return [str(pk) for pk in due.values_list("pk", flat=True)[:AT_ONCE]] if is_on() else []


def forget_removed() -> int:
    """Blank those that were removed long ago; returns how many."""
    old = CardOnFile.objects.filter(removed_at__lt=timezone.now() - KEPT_REMOVED).exclude(brand="")
    return blank_cards(CardOnFile.objects.filter(pk__in=old.values("pk")[: 10 * AT_ONCE]))


def warn_of_expiry() -> int:
    """Tell the owners of default cards that expire in 30 and in 7 days, once each; returns how many are told now."""
    today, told = timezone.now().date(), 0
    ahead = (0, FIRST_WARNING // 2, FIRST_WARNING)  # between them no month is left out
    months = {(day.year, day.month) for day in (today + timedelta(days=days) for days in ahead)}
    for year, month in sorted(months):
        left = (end_of(year, month) - today).days
        if left > FIRST_WARNING:
            continue
        stage = LAST_WARNING if left <= LAST_WARNING else FIRST_WARNING
        untold = Q(warned_days=None) | Q(warned_days__gt=stage)
        ending = CardOnFile.objects.filter(untold, is_default=True, exp_year=year, exp_month=month)
        for card in ending.filter(customer__ended_at=None)[: 10 * AT_ONCE]:
            told += card.warn(stage)
    return told


def _look(card: CardOnFile) -> datetime:
    """Take over what has changed there. Returns when to look again. StripeGatewayError."""
    from billing import stripe_cards

    facts = stripe_cards.look_at_card(card.method)
    if facts and facts.customer:
        card.note_facts(facts)
    elif not _went_with_its_customer(card):
        card.note_gone()
    CardOnFile.objects.filter(pk=card.pk).update(looks=0)
    return timezone.now() + LOOK_EVERY


def _went_with_its_customer(card: CardOnFile) -> bool:
    """Whether the customer was deleted there, which is noted: all their cards are gone at once. StripeGatewayError."""
    stripe_customers.note_deletion(card.stripe_customer)
    return CardOnFile.objects.filter(pk=card.pk).exclude(removed_at=None).exists()


def _forget(card: CardOnFile) -> datetime | None:
    """Have Stripe forget it for good, or learn that it has: it refuses what it does not keep. StripeGatewayError."""
    from billing import stripe_calls, stripe_cards

    try:
        stripe_cards.take_off_card(card.method)
    except stripe_calls.StripeGatewayError as error:
        if error.retry:
            raise
        facts = stripe_cards.look_at_card(card.method)
        if facts and facts.customer:
            raise
    return None
