"""Disputes: the owner of a card told their bank that they did not pay. Staff answer in Stripe's dashboard; here they have
the case with the facts to answer with, and the ledger says where the money is. The service is left as it is.
"""

from typing import TYPE_CHECKING

from django.utils import timezone

from accounts import audit, notices
from billing import ledger
from billing.models import Dispute, Payment, PaymentMethod, RefundWay, Sale
from billing.models.dispute import LOST, WON, is_closed

if TYPE_CHECKING:
    from billing.stripe_gateway import DisputeFacts

LOST_REASON = "The owner of the card took it back at the bank."


def look_at_dispute(which: str) -> bool:
    """What Stripe told of a dispute by its id; false where it is about no payment of ours. Facts are asked there anew, so
    the same event twice, or a late one, changes nothing.
    """
    from billing import stripe_gateway as gateway

    facts = gateway.look_at_dispute(which)
    payments = Payment.objects.filter(method=PaymentMethod.CARD, reference=facts.intent or "-")
    payment = payments.select_related("order__customer", "renewal__subscription__customer").first()
    if payment is None:
        return False
    with payment.sale._locked() as sale:
        _learn(sale, payment, facts)
    return True


def _learn(sale: Sale, payment: Payment, facts: "DisputeFacts") -> None:
    """Make true here how it stands at Stripe; what is won or lost here stays so, for facts can be late."""
    now = timezone.now()
    told = {"status": facts.status, "due_at": facts.due_at}
    dispute, made = Dispute.objects.get_or_create(
        dispute=facts.dispute,
        defaults={
            "payment": payment, "amount_minor": facts.amount_minor, "currency": facts.currency, "reason": facts.reason,
            "opened_at": facts.opened_at, "closed_at": now if is_closed(facts.status) else None, **told,
        },
    )  # fmt: skip
    if dispute.status in (WON, LOST) and not made:
        return
    changed = made or dispute.status != facts.status
    if not made:
        closed_at = dispute.closed_at or now if is_closed(facts.status) else None
        Dispute.objects.filter(pk=dispute.pk).update(**told, closed_at=closed_at, changed_at=now)
        dispute.refresh_from_db()
    if facts.taken:
        ledger.post_dispute(dispute)
    if facts.status == LOST:
        ledger.post_dispute(dispute)
        _lose(sale, dispute)
    elif not facts.taken:
        ledger.post_dispute_returned(dispute)
    if changed:
        after = {"amount": dispute.amount, "status": dispute.status, "reference": dispute.dispute}
        audit.record("payment.dispute", by=None, customer=sale.customer, subject=sale.label, after=after)
        notices.send_notice("payment.disputed", payment.pk)


def _lose(sale: Sale, dispute: Dispute) -> None:
    """The money is gone: a credit note takes that part of the invoice back."""
    lost = sale.refunds.create(
        way=RefundWay.DISPUTE, amount_minor=dispute.amount_minor, currency=dispute.currency, reference=dispute.dispute,
        reason=LOST_REASON, by=None,
    )  # fmt: skip
    Dispute.objects.filter(pk=dispute.pk).update(lost=lost)
    sale.__dict__.pop("sent_back_by_staff", None)
    sale._take_from_invoice(lost)
    ledger.post_refund(lost)
