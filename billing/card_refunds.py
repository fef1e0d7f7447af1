"""Money that goes back to cards: sent by whoever finds it due, once, and told to the customer when Stripe took it.

Before any attempt but the first Stripe is asked whether an earlier one came through: a reply can be lost, and its key is
forgotten after a day. What was sent is looked after for a month, for a card's bank may return it; and what somebody sent
at Stripe by hand counts like ours.
"""

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from accounts import audit, notices
from billing import ledger
from billing.models import CardRefund, Payment, PaymentMethod
from billing.stripe_terms import LEASE, is_on

if TYPE_CHECKING:
    from billing.stripe_calls import StripeGatewayError
    from billing.stripe_gateway import RefundFacts

logger = logging.getLogger(__name__)

FAILED = "Stripe could not bring it to the card."
_SALE = ("payment__order__customer", "payment__renewal__subscription__customer")
LONGEST_WAIT = timedelta(hours=1)
WATCHED = timedelta(days=30)  # after it was sent
GAP, GAP_DONE = (
    timedelta(days=1),
    timedelta(days=7),
)  # between looks, before and after Stripe says that it arrived


def send_card_refund(refund_id: str) -> bool:
    """Send one, or look after one that was sent; true when it was sent now."""
    from billing import stripe_gateway as gateway

    now = timezone.now()
    due = CardRefund.objects.filter(pk=refund_id, failed_at=None, next_try_at__lte=now)
    if not is_on() or not due.update(next_try_at=now + LEASE, attempts=F("attempts") + 1):
        return False
    refund = CardRefund.objects.select_related(*_SALE).get(pk=refund_id)
    try:
        _learn(refund, gateway.look_at_refund(refund.refund) if refund.sent_at else _ask(refund))
    except gateway.StripeGatewayError as error:
        logger.warning("Refund %s was not sent, or not looked at: %s", refund.pk, error)
        _put_off(refund, error)
        return False
    return not refund.sent_at and CardRefund.objects.filter(pk=refund.pk, failed_at=None).exists()


def look_at_refund(which: str) -> bool:
    """What Stripe told of a refund by its own id; false where it is none of ours. One that was sent can fail days later,
    and one of which we know nothing was made by hand.
    """
    from billing import stripe_gateway as gateway

    facts = gateway.look_at_refund(which)
    if refund := _known(which, facts.ours):
        _learn(refund, facts)
        return True
    payment = Payment.objects.filter(method=PaymentMethod.CARD, reference=facts.intent or "-").first()
    if payment is None:
        return False
    _note_by_hand(payment, facts)
    return True


def due_refunds(limit: int = 200) -> list[str]:
    """Those that the sweep has to send, or to look after."""
    due = CardRefund.objects.filter(failed_at=None, next_try_at__lte=timezone.now()).order_by("next_try_at")
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


def _learn(refund: CardRefund, facts: "RefundFacts") -> None:
    """Make true here how it stands at Stripe."""
    if facts.failed:
        return _fail(refund, FAILED)
    now = timezone.now()
    next_look_at = _next_look(refund.sent_at or now, facts)
    with refund.payment.sale._locked() as sale:
        # One that another worker knows to have failed stays so.
        unsent = CardRefund.objects.filter(pk=refund.pk, sent_at=None, failed_at=None)
        if not unsent.update(sent_at=now, refund=facts.refund, next_try_at=next_look_at, problem=""):
            CardRefund.objects.filter(pk=refund.pk, failed_at=None).update(next_try_at=next_look_at)
            return
        after = {"amount": refund.amount, "card": refund.payment.card, "reference": facts.refund}
        ledger.post_card_refund(refund)
        audit.record("refund.send", by=None, customer=sale.customer, subject=sale.label, after=after)
        notices.send_notice("order.sent_back", refund.pk)


def _next_look(sent_at: datetime, facts: "RefundFacts") -> datetime | None:
    now = timezone.now()
    return None if now > sent_at + WATCHED else now + (GAP_DONE if facts.done else GAP)


def _note_by_hand(payment: Payment, facts: "RefundFacts") -> None:
    if not facts.failed:
        now = timezone.now()
        payment.sale.note_refund_by_hand(
            payment,
            refund=facts.refund,
            amount_minor=facts.amount_minor,
            next_look_at=_next_look(now, facts) or now,
        )


def _put_off(refund: CardRefund, error: "StripeGatewayError") -> None:
    """Try again after 1, 2, 4 … minutes, at most an hour; what Stripe refuses for good is for staff."""
    if not error.retry:
        return _refused(refund, error)
    gap = min(timedelta(minutes=2 ** min(refund.attempts - 1, 6)), LONGEST_WAIT)
    CardRefund.objects.filter(pk=refund.pk, failed_at=None).update(
        next_try_at=timezone.now() + gap, keys_spent=F("keys_spent") + int(error.spent), problem=str(error)
    )


def _refused(refund: CardRefund, error: "StripeGatewayError") -> None:
    """Most often because somebody sent it at Stripe: what they sent is noted, and only the rest is owed."""
    from billing import stripe_gateway as gateway

    if refund.sent_at:  # it was looked after, and Stripe does not know it any more
        logger.error("Refund %s is not looked after any more: %s", refund.pk, error)
        CardRefund.objects.filter(pk=refund.pk).update(next_try_at=None)
        return
    try:
        found = gateway.list_refunds(intent=refund.payment.reference)
    except gateway.StripeGatewayError as again:
        return _put_off(refund, again) if again.retry else _fail(refund, str(error))
    for facts in found:
        if row := _known(facts.refund, facts.ours):
            _learn(row, facts)
        else:
            _note_by_hand(refund.payment, facts)
    if all(facts.ours != str(refund.pk) for facts in found):
        _fail(refund, str(error))


def _fail(refund: CardRefund, problem: str) -> None:
    now = timezone.now()
    with refund.payment.sale._locked() as sale:
        unfailed = CardRefund.objects.filter(pk=refund.pk, failed_at=None)
        if not unfailed.update(failed_at=now, next_try_at=None, problem=problem):
            return
        after = {"amount": refund.amount, "card": refund.payment.card, "problem": problem}
        audit.record("refund.fail", by=None, customer=sale.customer, subject=sale.label, after=after)
        notices.send_notice("refund.failed", refund.pk)
        sale.take_back(refund)


def _known(which: str, ours: str) -> CardRefund | None:
    """The row of this refund, or the one that we called so where the reply that names it is under way or was lost."""
    rows = CardRefund.objects.select_related(*_SALE)
    if refund := rows.filter(refund=which).first():
        return refund
    try:
        return rows.filter(pk=UUID(ours), refund="").first()
    except ValueError:
        return None
