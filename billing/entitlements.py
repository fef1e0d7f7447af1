"""What a customer may use, and how much of it is used. The only place that answers this."""

from collections.abc import Collection
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject

from accounts.models import Customer
from billing.models import StorageUsage, Subscription


class Feature(Enum):
    """A limit of a plan; the value is its field in the version that was sold."""

    STORAGE_MB = "storage_mb"
    MAILBOXES = "mailboxes"
    DOMAINS = "domains"
    SENDS_PER_DAY = "sends_per_day"


class Storage(NamedTuple):
    """What a running plan holds: bytes `used` of `limit`, as of `at` (None: not reported yet)."""

    plan: str
    used: int
    limit: int
    at: datetime | None

    @classmethod
    def of(cls, facts: dict[str, Any] | None) -> "Storage | None":
        """From what `storage_of` annotates."""
        if facts is None:
            return None
        at = datetime.fromisoformat(facts["at"]) if facts["at"] else None
        return cls(facts["plan"], facts["used"] or 0, facts["storage_mb"] << 20, at)

    @property
    def high(self) -> int:
        """From so many bytes on it is nearly full."""
        return self.limit * 80 // 100


def limit(customer: Customer, feature: Feature) -> int | None:
    """How much of `feature` the customer may take: None is unlimited, 0 without a running service. What is kept must fit
    the smaller plan too whose period is sold already.
    """
    return limits(customer, feature)[0]


def limits(customer: Customer, *features: Feature) -> tuple[int | None, ...]:
    """`limit` of several features in one query, in their order."""
    fields = ", ".join(
        f"v.{feature.value}"
        if feature is Feature.SENDS_PER_DAY
        else f"LEAST(v.{feature.value}, smaller.{feature.value})"  # the one that is not NULL, where one is
        for feature in features
    )
    with connection.cursor() as cursor:
        cursor.execute(_LIMITS.format(fields), [customer.pk])
        return cursor.fetchone() or (0,) * len(features)


# As SQL: each mailbox that is added asks for it, and building it anew takes five times as long as asking.
_LIMITS = """SELECT {} FROM billing_subscription s
    JOIN billing_planversion v ON v.id = s.version_id
    LEFT JOIN billing_planchange c ON c.subscription_id = s.id AND c.ended_at IS NULL AND c.renewal_id IS NOT NULL
    LEFT JOIN billing_planversion smaller ON smaller.id = c.version_id
    WHERE s.customer_id = %s AND s.ended_at IS NULL"""


def limit_of_each(customers: Collection[UUID], feature: Feature) -> dict[UUID, int | None]:
    """What the plans hold that many customers have now, by their ids, in one query: what mail servers go by."""
    running = Subscription.objects.filter(customer__in=customers, ended_at=None)
    found = dict(running.values_list("customer_id", f"version__{feature.value}"))
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


def usage_report(customer: Customer) -> tuple[int, datetime | None]:
    """Bytes used and when that was true, as last reported; (0, None) when nothing was."""
    return StorageUsage.objects.filter(customer=customer).values_list("bytes_used", "at").first() or (0, None)


def storage(customer: Customer) -> Storage | None:
    """How full the customer's plan is; None without a running service."""
    return Storage.of(_storage_facts(customer.subscriptions.all()).first())


def storage_of(customer: str) -> Subquery:
    """For `annotate`, where a query of its own would be one too many: what `Storage.of` reads of the customer to whom
    that field leads.
    """
    return Subquery(_storage_facts(Subscription.objects.filter(customer=OuterRef(customer)))[:1])


def _storage_facts(subscriptions: QuerySet[Subscription]) -> QuerySet[Subscription, Any]:
    facts = JSONObject(
        plan="plan__name",
        used="customer__storage_usage__bytes_used",
        storage_mb="version__storage_mb",
        at="customer__storage_usage__at",
    )
    return subscriptions.filter(ended_at=None).values_list(facts, flat=True)
