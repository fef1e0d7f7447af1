"""The orders that wait for staff, the one that waits longest or is riskiest first, and the figures of the desk."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    Min,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThan
from django.utils import timezone

from accounts.models import User
from billing.models import (
    BY_HAND,
    CardRefund,
    Decision,
    Invoice,
    Order,
    OrderMessage,
    OrderStatus,
    Payment,
    Refund,
    RefundWay,
    ReviewDecision,
    ReviewNote,
    ReviewPresence,
    Risk,
)
from billing.models.status import OrderQuerySet
from billing.presence import HERE

# What a filter of the queue shows; the empty one is the work that waits for a decision.
QUEUES: dict[str, tuple[str, list[OrderStatus]]] = {
    "": ("To decide", [OrderStatus.CHECKING, OrderStatus.REVIEW, OrderStatus.QUESTION]),
    "review": ("In review", [OrderStatus.REVIEW]),
    "question": ("Waiting for an answer", [OrderStatus.QUESTION]),
    "checking": ("Being checked", [OrderStatus.CHECKING]),
    "unpaid": ("Unpaid", [OrderStatus.UNPAID]),
    "active": ("Active", [OrderStatus.ACTIVE]),
    "rejected": ("Rejected", [OrderStatus.REJECTED]),
    "cancelled": ("Cancelled", [OrderStatus.CANCELLED]),
    "refund": ("Refund owed", [OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.ACTIVE]),
}
OPEN = ("", "review", "question", "checking")
SORTS = {"": "Oldest first", "risk": "Riskiest first"}
# The rows that a status needs, so that the few are found without reading all orders.
_ROWS = {
    "unpaid": Q(cancellation=None, subscription=None),
    "active": Q(subscription__isnull=False),
    "rejected": Q(decision__decision=Decision.REJECT),
    "cancelled": Q(cancellation__isnull=False),
}
DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_PAGE = 200
LONGEST = 254  # characters that are searched for
PEOPLE_SHOWN = 20


@dataclass(frozen=True)
class Filters:
    """Which orders, in which order: kept in the URL from the queue through the pages of its orders."""

    status: str = ""
    risk: str = ""
    sort: str = ""
    q: str = ""

    @classmethod
    def read(cls, data: Mapping[str, str]) -> "Filters":
        """From a query string; nonsense becomes sense."""
        risk = data.get("risk", "")
        return cls(
            status=data.get("status", "") if data.get("status") in QUEUES else "",
            risk=risk if risk in {str(each) for each in Risk.values} else "",
            sort=data.get("sort", "") if data.get("sort") in SORTS else "",
            q=data.get("q", "").strip()[:LONGEST],
        )

    @property
    def query(self) -> str:
        return urlencode({name: value for name, value in vars(self).items() if value})

    def orders(self) -> OrderQuerySet:
        """Them, with `status_now` and `risk_now`."""
        orders = Order.objects.all().with_risk().in_status(QUEUES[self.status][1])
        if self.status in OPEN:
            orders = orders.undecided()  # the few that are open are found by their missing rows
        elif self.status == "refund":
            orders = orders.filter(REFUND_OWED)
        else:
            orders = orders.filter(_ROWS[self.status])
        if self.risk:
            orders = orders.filter(Q(("risk_now", int(self.risk))))
        if self.q:
            orders = orders.filter(_named(self.q))
        return orders.order_by(*self._by())

    def _by(self) -> tuple[str, ...]:
        age = "-placed_at" if self.status in ("active", "rejected", "cancelled") else "placed_at"
        return ("-risk_now", age) if self.sort == "risk" else (age,)


def _named(text: str) -> Q:
    names = ("customer__username", "email", "domain", "name", "company")
    found = Q(number=text.upper())
    for name in names:
        found |= Q(**{f"{name}__iexact": text})
    return found


def _sum(rows: Any, order: str, of: str = "amount_minor") -> Coalesce:
    """Of amounts, over the rows that belong to the order of the query around it."""
    mine = rows.filter(**{order: OuterRef("pk")}).order_by().values(order)
    sums = mine.annotate(sum=Sum(of)).values("sum")
    return Coalesce(Subquery(sums, output_field=IntegerField()), 0)


# In SQL what `Order.refund_minor` says. What cards paid goes back by itself, unless that failed.
_NOTHING = Q(cancellation__isnull=False) | Q(decision__decision=Decision.REJECT)
_CREDITED = _sum(Invoice.objects.exclude(corrects=None), "order", "total_minor")
_OWED = (
    _sum(Payment.objects, "order")
    - _sum(CardRefund.objects.filter(failed_at=None), "payment__order")
    - _sum(Refund.objects.exclude(way=RefundWay.CARD), "order")
    - Case(
        When(_NOTHING, then=Value(0)), default=F("amount_minor") + F("tax_minor"), output_field=IntegerField()
    )
    + Case(When(_NOTHING, then=Value(0)), default=_CREDITED, output_field=IntegerField())
)
REFUND_OWED = (
    Q(Exists(Payment.objects.filter(order=OuterRef("pk"), method__in=BY_HAND))) & _NOTHING
    | Q(Exists(CardRefund.objects.filter(payment__order=OuterRef("pk"), failed_at__isnull=False)))
    & (_NOTHING | Q(subscription__isnull=False))
) & Q(GreaterThan(_OWED, 0))


@dataclass(frozen=True)
class QueuePage:
    """`limit` orders of page `number`; `more`: there are others behind. Nothing is counted, so no page costs more."""

    orders: list[Order]
    number: int
    limit: int
    more: bool


def queue_page(filters: Filters, page: str | None, limit: str | None) -> QueuePage:
    """One page of a queue: 50 orders unless told, at most 200, of at most 200 pages; nonsense becomes sense."""
    size = min(max(_number(limit, DEFAULT_LIMIT), 1), MAX_LIMIT)
    number = min(max(_number(page, 1), 1), MAX_PAGE)
    orders = filters.orders().select_related("customer", "plan", "fraud_check")
    orders = orders.prefetch_related("signals", "messages", "notes")
    first = (number - 1) * size
    found = list(orders[first : first + size + 1])
    return QueuePage(found[:size], number, size, len(found) > size and number < MAX_PAGE)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else default


def next_order(filters: Filters, after: Order, person: User) -> Order | None:
    """The one that `person` should take up after this one: the next of the queue, or its first again; none that
    somebody else is at, and none that somebody else has to decide about.
    """
    if filters.status == "":
        filters = Filters("review", filters.risk, filters.sort, filters.q)
    taken = ReviewPresence.objects.filter(order=OuterRef("pk"), seen_at__gte=timezone.now() - HERE)
    orders = filters.orders().exclude(Exists(taken.exclude(person=person))).exclude(pk=after.pk)
    orders = orders.exclude(placed_by=person)
    orders = orders.annotate(first_by=_first_by()).filter(Q(first_by=None) | ~Q(first_by=person.pk))
    return orders.filter(_behind(filters, after)).first() or orders.first()


def _first_by() -> Subquery:
    """Who took the first of two decisions: in SQL what `Order.first_decision` says."""
    said = OrderMessage.objects.filter(order=OuterRef("order")).order_by().values("order")
    seen_now = Coalesce(Subquery(said.annotate(count=Count("pk")).values("count")), 0)
    decisions = ReviewNote.objects.filter(order=OuterRef("pk"), decision__gt="", seen=seen_now)
    return Subquery(decisions.order_by("-pk").values("by")[:1])


def _behind(filters: Filters, order: Order) -> Q:
    newer = Q(placed_at__gt=order.placed_at)
    if filters.sort == "risk":
        return Q(risk_now__lt=order.risk) | (newer & Q(risk_now=order.risk))
    return newer


@dataclass(frozen=True)
class Figures:
    """`decided`: of today (UTC), (name, approved, rejected) of each person, the busiest first."""

    waiting: int
    oldest_at: datetime | None
    questions: int
    refunds: int
    decided: list[tuple[str, int, int]]

    @property
    def decided_today(self) -> int:
        return sum(approved + rejected for _, approved, rejected in self.decided)


def figures() -> Figures:
    """The figures of the desk, in three queries."""
    undecided: Any = Order.objects.all().undecided().in_status([OrderStatus.REVIEW, OrderStatus.QUESTION])
    in_review = Q(status_now=OrderStatus.REVIEW)
    counts = undecided.aggregate(
        waiting=Count("pk", filter=in_review),
        oldest_at=Min("placed_at", filter=in_review),
        questions=Count("pk", filter=Q(status_now=OrderStatus.QUESTION)),
    )
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    people = (
        ReviewDecision.objects.filter(at__gte=today)
        .values("by__name", "by__email")
        .annotate(
            approved=Count("pk", filter=Q(decision=Decision.APPROVE)),
            rejected=Count("pk", filter=Q(decision=Decision.REJECT)),
            total=Count("pk"),
        )
        .order_by("-total", "by__email")[:PEOPLE_SHOWN]
    )
    return Figures(
        **counts,
        refunds=Order.objects.filter(REFUND_OWED).count(),
        decided=[
            (each["by__name"] or each["by__email"], each["approved"], each["rejected"]) for each in people
        ],
    )
