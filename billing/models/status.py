"""The states of an order, and the one place that says in SQL what `Order.status` says in Python."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Case, Count, Exists, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce

from billing.models.fraud import CLEARING, Outcome
from billing.models.review import Decision, MessageKind, OrderCancellation, OrderMessage, ReviewDecision
from billing.models.risk import Risk
from billing.models.signal import DECIDING, OrderSignal

if TYPE_CHECKING:
    from billing.models.order import Order


class OrderStatus(models.TextChoices):
    CHECKING = "checking", "Being checked"
    REVIEW = "review", "In review"
    QUESTION = "question", "Waiting for your answer"
    UNPAID = "unpaid", "Waiting for payment"
    ACTIVE = "active", "Active"
    REJECTED = "rejected", "Rejected"
    CANCELLED = "cancelled", "Cancelled"


def deciding_signals() -> "models.QuerySet[OrderSignal]":
    """Of the order of the query around it: the signals that send it to a person."""
    return OrderSignal.objects.filter(order=OuterRef("pk"), kind__in=DECIDING)


class OrderQuerySet(models.QuerySet["Order"]):
    def with_facts(self) -> "OrderQuerySet":
        """With everything that a page for the customer reads.

        Five joins and no more: PostgreSQL's planner takes four times as long over each further one.
        """
        joined = ("customer", "plan", "fraud_check", "decision", "cancellation")
        facts = self.select_related(*joined).prefetch_related(
            "subscription", "messages", "payments__card_refunds"
        )
        return facts.annotate(is_signalled=Exists(deciding_signals()))

    def with_status(self) -> "OrderQuerySet":
        """With `status_now`: in SQL what `Order.status` says (a test compares the two)."""
        last_message = OrderMessage.objects.filter(order=OuterRef("pk")).order_by("-pk").values("kind")[:1]
        return self.annotate(last_kind=Subquery(last_message)).annotate(
            status_now=Case(
                When(cancellation__isnull=False, then=Value(OrderStatus.CANCELLED)),
                When(subscription__isnull=False, then=Value(OrderStatus.ACTIVE)),
                When(decision__decision=Decision.REJECT, then=Value(OrderStatus.REJECTED)),
                When(decision__decision=Decision.APPROVE, then=Value(OrderStatus.UNPAID)),
                When(last_kind=MessageKind.QUESTION, then=Value(OrderStatus.QUESTION)),
                When(last_kind=MessageKind.ANSWER, then=Value(OrderStatus.REVIEW)),
                When(
                    Q(fraud_check__outcome__in=CLEARING) & ~Exists(deciding_signals()),
                    then=Value(OrderStatus.UNPAID),
                ),
                When(fraud_check__outcome="", then=Value(OrderStatus.CHECKING)),
                default=Value(OrderStatus.REVIEW),
                output_field=models.CharField(),
            )
        )

    def with_risk(self) -> "OrderQuerySet":
        """With `risk_now`: in SQL what `Order.risk` says (a test compares the two)."""
        counted = deciding_signals().order_by().values("order").annotate(count=Count("pk")).values("count")
        reported = Q(fraud_check__outcome=Outcome.REPORTED)
        return self.annotate(deciding=Coalesce(Subquery(counted), 0)).annotate(
            risk_now=Case(
                When(Q(fraud_check__outcome=Outcome.HELD) | Q(deciding__gt=1), then=Value(Risk.HIGH)),
                When(reported & Q(deciding=1), then=Value(Risk.HIGH)),
                When(reported | Q(deciding=1), then=Value(Risk.ELEVATED)),
                When(fraud_check__outcome__in=CLEARING, then=Value(Risk.LOW)),
                default=Value(Risk.UNKNOWN),
                output_field=models.IntegerField(),
            )
        )

    def in_status(self, statuses: Iterable[OrderStatus]) -> "OrderQuerySet":
        """Those whose status is one of `statuses`."""
        return self.with_status().filter(Q(("status_now__in", list(statuses))))

    def undecided(self) -> "OrderQuerySet":
        """Neither decided by staff, nor cancelled, nor active. As NOT EXISTS: of a LEFT JOIN whose row is missing PostgreSQL
        expects next to nothing, and then looks at all orders one by one.
        """
        from billing.models.subscription import Subscription

        closing = (ReviewDecision, OrderCancellation, Subscription)
        return self.filter(*(~Exists(rows.objects.filter(order=OuterRef("pk"))) for rows in closing))

    def numbered(self, number: str) -> "Order":
        """The order of that number with its facts; Order.DoesNotExist."""
        return self.with_facts().get(number=number)
