"""Plans with other terms than those that are seeded, as they were sold."""

from typing import Any

from accounts.models import Customer
from billing.models import Subscription


def sell_as(customer: Customer, **terms: Any) -> None:
    """As if what runs for the customer had been sold with these terms."""
    plan = customer.subscriptions.get(ended_at=None).plan
    for name, value in terms.items():
        setattr(plan, name, value)
    plan.save()
    Subscription.objects.filter(customer=customer, ended_at=None).update(version=plan.present_version())
