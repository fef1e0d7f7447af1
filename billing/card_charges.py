"""Charging a kept card while its owner is not there. What is charged, when and how often is the caller's.

A caller writes down its attempt (`ours`, and a `key` that only this attempt has) before it calls, and keeps what comes of
it. Whatever is not known after a call (StripeGatewayError) is asked for again under the same key for 23 hours. After that,
or after an error that is `spent`, it looks first (`find_charge`), and writes down another attempt, with a key and a
`begun_at` of its own, only where Stripe has nothing. A card that was changed meanwhile needs another attempt too.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from billing import declines, kept_cards
from billing.models import CardOnFile
from billing.stripe_terms import KEY_HOLDS, SKEW

if TYPE_CHECKING:
    from billing.stripe_cards import ChargeFacts

SETTLES = timedelta(minutes=2)  # a call that was under way when its card was removed has come to its end


def charge(
    card: CardOnFile,
    *,
    key: str,
    ours: str,
    begun_at: datetime,
    amount_minor: int,
    currency: str,
    description: str,
) -> "ChargeFacts":
    """Charge it now, or learn what came of it under this key; `begun_at` is when the attempt was written down.
    StripeGatewayError where that is not known, or where the key is forgotten and Stripe has nothing (`spent`).

    A card that was taken off, here or at Stripe, is declined without an intent, unless it was charged before that.
    """
    from billing import stripe_calls, stripe_cards

    is_old, is_refused = begun_at < timezone.now() - KEY_HOLDS, False
    if is_old and (found := find_charge(card, ours=ours, begun_at=begun_at)):
        return found
    if _is_kept(card):
        if is_old:
            raise stripe_calls.StripeGatewayError("Stripe has forgotten the key.", retry=True, spent=True)
        try:
            return stripe_cards.charge_card(
                key=key, ours=ours, customer=card.stripe_customer, method=card.method, amount_minor=amount_minor,
                currency=currency, description=description,
            )  # fmt: skip
        except stripe_calls.StripeGatewayError as error:
            if error.retry or _is_kept_there(card):
                raise
            is_refused = True
    if found := find_charge(card, ours=ours, begun_at=begun_at):
        return found
    if not is_refused and _may_be_under_way(card, begun_at):
        raise stripe_calls.StripeGatewayError("The card was removed a moment ago.", retry=True)
    return stripe_cards.ChargeFacts(
        "", stripe_cards.ChargeState.DECLINED, ours, amount_minor, currency, declines.GONE, final=True
    )


def look_at_charge(intent: str) -> "ChargeFacts":
    """How one stands now that was under way. StripeGatewayError."""
    from billing import stripe_cards

    return stripe_cards.look_at_charge(intent)


def end_charge(intent: str) -> "ChargeFacts":
    """Let one that was not paid never be paid any more; it may have been meanwhile, and then that is said.
    StripeGatewayError.
    """
    from billing import stripe_cards

    return stripe_cards.end_charge(intent)


def find_charge(card: CardOnFile, *, ours: str, begun_at: datetime) -> "ChargeFacts | None":
    """What Stripe has of the charge that we called so, whatever card of the same customer it was of: one that was paid
    before all others, then one that is under way, then the last. None: it has none, so nothing was charged.
    StripeGatewayError.
    """
    from billing import stripe_cards

    states = (stripe_cards.ChargeState.PAID, stripe_cards.ChargeState.UNDER_WAY)
    found = stripe_cards.find_charges(customer=card.stripe_customer, ours=ours, since=begun_at - SKEW)
    for state in states:
        if of_state := [facts for facts in found if facts.state is state]:
            return of_state[0]
    return found[0] if found else None


def _is_kept_there(card: CardOnFile) -> bool:
    """Asks Stripe; what has changed is noted. StripeGatewayError."""
    kept_cards.look_at_method(card.method)
    return _is_kept(card)


def _is_kept(card: CardOnFile) -> bool:
    return CardOnFile.objects.filter(pk=card.pk, removed_at=None).exists()


def _may_be_under_way(card: CardOnFile, begun_at: datetime) -> bool:
    """Whether an earlier call of this attempt, whose reply was lost, can have begun before the card was removed, and be
    charging it still.
    """
    since = timezone.now() - SETTLES
    return CardOnFile.objects.filter(pk=card.pk, removed_at__gte=max(begun_at, since)).exists()
