"""Charging the card of a customer for a renewal, once for each attempt, whatever is lost on the way."""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import F
from django.utils import timezone

from accounts import audit, notices
from billing import card_charges, declines
from billing.hosted_pages import KEY_HOLDS
from billing.models import ChargeState, Renewal, RenewalCharge

if TYPE_CHECKING:
    from billing.stripe_cards import ChargeFacts

logger = logging.getLogger(__name__)

JUST_NOW = timedelta(seconds=5)
SETTLES = timedelta(minutes=2)  # a call that was under way has come to its end
_STATES = {
    "DECLINED": ChargeState.DECLINED,
    "NEEDS_OWNER": ChargeState.NEEDS_OWNER,
}


def learn_charge(charge: RenewalCharge) -> bool:
    """Ask Stripe, and make true here what it says; false while it does not know yet itself. StripeGatewayError."""
    from billing.stripe_calls import StripeGatewayError
    from billing.stripe_cards import ChargeState as AtStripe

    try:
        facts = _ask(charge)
    except StripeGatewayError as error:
        if error.retry:
            raise
        logger.error("Stripe refuses charge %s: %s", charge.pk, error)
        facts = _undone(charge, declines.REFUSED)
    intent = charge.intent or facts.intent
    if facts.state is AtStripe.UNDER_WAY:
        RenewalCharge.objects.filter(pk=charge.pk, intent="").update(intent=intent)
        return False
    with charge.renewal._locked() as renewal:
        state = ChargeState.PAID if facts.state is AtStripe.PAID else _STATES[facts.state.name]
        ended = RenewalCharge.objects.filter(pk=charge.pk, ended_at=None).update(
            state=state, reason=facts.reason, is_final=facts.final, ended_at=timezone.now(), intent=intent
        )
        if state == ChargeState.PAID:  # also of one that was held for undone: what is not needed goes back
            renewal._take_card_payment(facts.intent, str(charge.card), facts.amount_minor, facts.currency)
            return True
        if not ended:
            return True
        after = {"amount": charge.amount, "card": str(charge.card), "reason": facts.reason}
        audit.record(
            "payment.decline", by=None, customer=renewal.customer, subject=renewal.label, after=after
        )
        if renewal.is_open and facts.reason != declines.NOT_DUE:
            notices.send_notice("renewal.declined", charge.pk)
    return True


def _ask(charge: RenewalCharge) -> "ChargeFacts":
    """Under its key; after an error, and before another key, what Stripe has of it is looked for. Where nothing is due any
    more it is only looked for, until no call can be under way.
    """
    from billing.stripe_calls import StripeGatewayError

    known = RenewalCharge.objects.filter(pk=charge.pk)
    is_new = charge.is_new and charge.at > timezone.now() - JUST_NOW  # it was begun with what is due
    if not is_new:
        known.update(looks=F("looks") + 1)
        if charge.intent:
            return card_charges.look_at_charge(charge.intent)
        if found := card_charges.find_charge(charge.card, ours=charge.ours, begun_at=charge.at):
            return found
        if Renewal.objects.get(pk=charge.renewal_id).due_minor != charge.amount_minor:
            if (charge.asked_at or charge.at) > timezone.now() - SETTLES:
                raise StripeGatewayError("What is due has changed while it was charged.", retry=True)
            return _undone(charge, declines.NOT_DUE)
        if charge.key_at < timezone.now() - KEY_HOLDS:
            _spend_key(charge)
        known.update(asked_at=timezone.now())
    try:
        return card_charges.charge(
            charge.card, key=charge.key, ours=charge.ours, begun_at=charge.key_at,
            amount_minor=charge.amount_minor, currency=charge.currency,
            description=f"{charge.renewal.label}: {charge.renewal.title}",
        )  # fmt: skip
    except StripeGatewayError as error:
        if error.spent:
            _spend_key(charge)
        raise


def _undone(charge: RenewalCharge, reason: str) -> "ChargeFacts":
    """Nothing is charged by it. Refused for good, the customer pays in another way; of another sum than is due, it is begun
    anew.
    """
    from billing.stripe_cards import ChargeFacts
    from billing.stripe_cards import ChargeState as AtStripe

    is_final = reason == declines.REFUSED
    return ChargeFacts(
        "", AtStripe.DECLINED, charge.ours, charge.amount_minor, charge.currency, reason, final=is_final
    )


def _spend_key(charge: RenewalCharge) -> None:
    """No reply under the present key will be another one; whoever was faster has spent it already."""
    present = RenewalCharge.objects.filter(pk=charge.pk, keys_spent=charge.keys_spent)
    present.update(keys_spent=F("keys_spent") + 1, key_at=timezone.now())
    charge.refresh_from_db()
