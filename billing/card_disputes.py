"""Disputes: the owner of a card told their bank that they did not pay. Staff answer in Stripe's dashboard; here they are
told, once for each step.
"""

from accounts import audit, notices
from accounts.models import AuditEntry
from billing.models import Payment, PaymentMethod
from billing.money import format_money


def look_at_dispute(which: str) -> bool:
    """What Stripe told of a dispute by its id; false where it is about no payment of ours."""
    from billing import stripe_gateway as gateway

    facts = gateway.look_at_dispute(which)
    payments = Payment.objects.filter(method=PaymentMethod.CARD, reference=facts.intent or "-")
    payment = payments.select_related("order__customer", "renewal__subscription__customer").first()
    if payment is None:
        return False
    amount = format_money(facts.amount_minor, facts.currency)
    after = {"amount": amount, "status": facts.status, "reference": facts.dispute}
    with payment.sale._locked() as sale:
        act = {"action": "payment.dispute", "subject": sale.label}
        if not AuditEntry.objects.filter(**act, after=after).exists():
            audit.record("payment.dispute", by=None, customer=sale.customer, subject=sale.label, after=after)
            notices.send_notice("payment.disputed", payment.pk)
    return True
