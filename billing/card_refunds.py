"""Money that goes back to cards: sent by whoever finds it due, once, and told to the customer when Stripe took it.

Before any attempt but the first Stripe is asked whether an earlier one came through: a reply can be lost, and its key is
forgotten after a day.
"""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import F
from django.utils import timezone

from accounts import audit, notices
from billing.card_payments import LEASE, LONGEST_WAIT, is_on
from billing.models import CardRefund
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from billing.stripe_gateway import RefundFacts, StripeGatewayError

logger = logging.getLogger(__name__)

FAILED = "Stripe could not bring it to the card."


def send_card_refund(refund_id: str) -> bool:
    """Send one; false when it is sent, not due, or somebody else is at it."""
    from billing.stripe_gateway import StripeGatewayError

    now = timezone.now()
    due = CardRefund.objects.filter(pk=refund_id, sent_at=None, next_try_at__lte=now)
    if not is_on() or not due.update(next_try_at=now + LEASE, attempts=F("attempts") + 1):
        return False
    refund = CardRefund.objects.select_related("payment__order__customer").get(pk=refund_id)
    try:
        facts = _ask(refund)
    except StripeGatewayError as error:
        logger.warning("Refund %s was not sent: %s", refund.pk, error)
        _put_off(refund, error)
        return False
    if facts.failed:
        _fail(refund, FAILED)
    else:
        _note_sent(refund, facts)
    return True


def look_at_refund(which: str) -> bool:
    """What Stripe told of a refund by its own id; false where it is none of ours. One that was sent can fail days later."""
    from billing import stripe_gateway as gateway

    facts = gateway.look_at_refund(which)
    refund = CardRefund.objects.filter(refund=which).first()
    if refund is None:
        return False
    if facts.failed:
        _fail(refund, FAILED)
    return True


def due_refunds(limit: int = 200) -> list[str]:
    """Those that the sweep has to send."""
    due = CardRefund.objects.filter(sent_at=None, next_try_at__lte=timezone.now()).order_by("next_try_at")
    return [str(pk) for pk in due.values_list("pk", flat=True)[:limit]] if is_on() else []


def _ask(refund: CardRefund) -> "RefundFacts":
    from billing import stripe_gateway as gateway

    payment, ours = refund.payment, str(refund.pk)
    if refund.attempts > 1 and (found := gateway.find_refund(intent=payment.reference, ours=ours)):
        return found
    return gateway.send_refund(
        key=f"refund-{ours}-{refund.keys_spent}",
        ours=ours,
        intent=payment.reference,
        amount_minor=refund.amount_minor,
        currency=payment.currency,
    )


def _note_sent(refund: CardRefund, facts: "RefundFacts") -> None:
    order, now = refund.payment.order, timezone.now()
    with unit_of_work():
        unsent = CardRefund.objects.filter(pk=refund.pk, sent_at=None)
        if not unsent.update(sent_at=now, refund=facts.refund, next_try_at=None, problem=""):
            return
        after = {"amount": refund.amount, "card": refund.payment.card, "reference": facts.refund}
        audit.record("refund.send", by=None, customer=order.customer, subject=order.number, after=after)
        notices.send_notice("order.sent_back", refund.pk)


def _put_off(refund: CardRefund, error: "StripeGatewayError") -> None:
    """Try again after 1, 2, 4 … minutes, at most an hour; what Stripe refuses for good is for staff."""
    if not error.retry:
        return _fail(refund, str(error))
    gap = min(timedelta(minutes=2 ** min(refund.attempts - 1, 6)), LONGEST_WAIT)
    CardRefund.objects.filter(pk=refund.pk, sent_at=None).update(
        next_try_at=timezone.now() + gap, keys_spent=F("keys_spent") + int(error.spent), problem=str(error)
    )


def _fail(refund: CardRefund, problem: str) -> None:
    CardRefund.objects.filter(pk=refund.pk, failed_at=None).update(
        failed_at=timezone.now(), next_try_at=None, problem=problem
    )
