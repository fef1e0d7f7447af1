"""The orders that wait for staff, the one that waits longest first."""

from django.core.paginator import Page, Paginator

from billing.models import Order, OrderStatus

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
}
DEFAULT_LIMIT = 50
MAX_LIMIT = 200


def queue_page(queue: str, page: str | None, limit: str | None) -> "Page[Order]":
    """One page of a queue: `limit` orders, 50 unless told, at most 200; nonsense becomes sense."""
    size = int(limit) if limit and limit.isascii() and limit.isdigit() and len(limit) < 6 else DEFAULT_LIMIT
    orders = Order.objects.with_facts().in_status(QUEUES[queue][1])
    if queue in ("", "review", "question", "checking"):
        orders = orders.undecided()  # the few that are open are found by their missing rows
    ended = queue in ("active", "rejected", "cancelled")
    orders = orders.order_by("-placed_at" if ended else "placed_at")
    return Paginator(orders, min(max(size, 1), MAX_LIMIT)).get_page(page)
