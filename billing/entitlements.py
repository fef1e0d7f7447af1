"""What a customer may use, and how much of it is used. The only place that answers this."""

from collections.abc import Collection
from datetime import datetime
from enum import Enum
from uuid import UUID

from accounts.models import Customer
from billing.models import StorageUsage, Subscription


class Feature(Enum):
    """A limit of a plan; the value is the plan's field."""

    STORAGE_MB = "storage_mb"
    MAILBOXES = "mailboxes"
    DOMAINS = "domains"
    SENDS_PER_DAY = "sends_per_day"


def limit(customer: Customer, feature: Feature) -> int | None:
    """How much of `feature` the customer may use: None is unlimited, 0 without a running service."""
    return limits(customer, feature)[0]


def limits(customer: Customer, *features: Feature) -> tuple[int | None, ...]:
    """`limit` of several features in one query, in their order."""
    fields = [f"plan__{feature.value}" for feature in features]
    running = customer.subscriptions.filter(ended_at=None).values_list(*fields).first()
    return running if running else (0,) * len(features)


def limit_of_each(customers: Collection[UUID], feature: Feature) -> dict[UUID, int | None]:
    """`limit` of many customers, by their ids, in one query."""
    running = Subscription.objects.filter(customer__in=customers, ended_at=None)
    found = dict(running.values_list("customer_id", f"plan__{feature.value}"))
    return {customer: found.get(customer, 0) for customer in customers}


def report_usage(customer: Customer, bytes_used: int, at: datetime) -> bool:
    """Note the storage used at the moment `at`; an older report than the known one changes nothing."""
    newer = StorageUsage.objects.filter(customer=customer, at__lt=at).update(bytes_used=bytes_used, at=at)
    if newer:
        return True
    _, made = StorageUsage.objects.get_or_create(
        customer=customer, defaults={"bytes_used": bytes_used, "at": at}
    )
    return made


def usage(customer: Customer) -> int:
    """Bytes used, as last reported; 0 when nothing was."""
    return StorageUsage.objects.filter(customer=customer).values_list("bytes_used", flat=True).first() or 0
