"""Customers whom staff vouch for: FraudRecord is not asked about them."""

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import Customer, Membership, Role, User
from billing.models import CLEARING, FraudCheck, FraudExemption, Order, OrderConflict
from foundation.unit_of_work import unit_of_work


def exemption_of(order: Order) -> FraudExemption | None:
    """The exemption that holds for `order`: of its customer, or of one whose owner placed it."""
    found = _covering(order.customer_id, order.placed_by_id)
    return found.select_related("customer", "by").first()


def has_exemption() -> Exists:
    """The same of the order of the query around it, as a condition."""
    return Exists(_covering(OuterRef("customer"), OuterRef(OuterRef("placed_by"))))


def exempt_customer(customer: Customer, *, reason: str, by: User) -> bool:
    """Exempt a customer, and let the orders go on that wait because of FraudRecord; false when it was exempt before.

    OrderConflict for who owns the customer, or placed an order of it.
    """
    owned = Membership.objects.filter(customer=customer, user=by, role=Role.OWNER)
    if owned.exists() or Order.objects.filter(customer=customer, placed_by=by).exists():
        raise OrderConflict(
            f"{customer.username} is yours, or you ordered for it. Somebody else has to vouch for it. Nothing was changed."
        )
    with unit_of_work():
        _, made = FraudExemption.objects.get_or_create(
            customer=customer, defaults={"reason": reason, "by": by}
        )
        if not made:
            return False
        after = {"reason": reason}
        audit.record("fraud_exemption.add", by=by, customer=customer, subject=customer.username, after=after)
        owners = Membership.objects.filter(customer=customer, role=Role.OWNER).values("user")
        orders = Order.objects.filter(Q(customer=customer) | Q(placed_by__in=owners)).undecided()
        waiting = FraudCheck.objects.filter(order__in=orders.values("pk")).exclude(outcome__in=CLEARING)
        waiting.update(next_ask_at=timezone.now(), attempts=0)  # the sweep finds them
        return True


def end_exemption(customer: Customer, *, by: User) -> bool:
    """FraudRecord is asked about its next orders again; false when it was not exempt."""
    with unit_of_work():
        exemption = FraudExemption.objects.select_for_update().filter(customer=customer).first()
        if exemption is None:
            return False
        before = {"reason": exemption.reason}
        audit.record(
            "fraud_exemption.end", by=by, customer=customer, subject=customer.username, before=before
        )
        exemption.delete()
        return True


def _covering(customer: Any, person: Any) -> QuerySet[FraudExemption]:
    owned = Membership.objects.filter(user=person, role=Role.OWNER).values("customer")
    return FraudExemption.objects.filter(Q(customer=customer) | Q(customer__in=owned))
