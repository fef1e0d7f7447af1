"""Who is at an order just now, so that two people of the staff who work on the same one see each other."""

from collections.abc import Collection
from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple

from django.db import connection
from django.utils import timezone

from accounts.models import User
from billing.models import Order, ReviewPresence

HERE = timedelta(seconds=40)  # the page is open and says so every ten seconds
LATELY = timedelta(minutes=5)  # a page without JavaScript says so only when it is loaded
KEPT = timedelta(days=1)
SHOWN = 10


class Other(NamedTuple):
    """Somebody else at the order: the name, and whether the page is open there now, as far as is known."""

    name: str
    is_here: bool


def be_here(order: Order, person: User, ids: Collection[int] = ()) -> tuple[list[Other], dict[int, User]]:
    """Note that `person` is at the order; who else is or was within LATELY, and the people with these ids (name and
    address alone), in one query.
    """
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH me AS (
                 INSERT INTO billing_reviewpresence (order_id, person_id, seen_at) VALUES (%(order)s, %(person)s, %(now)s)
                 ON CONFLICT (order_id, person_id) DO UPDATE SET seen_at = excluded.seen_at),
               others AS (
                 SELECT person_id, seen_at FROM billing_reviewpresence
                 WHERE order_id = %(order)s AND person_id <> %(person)s AND seen_at >= %(lately)s
                 ORDER BY person_id LIMIT %(shown)s)
               SELECT u.id, u.name, u.email, NULL FROM accounts_user u WHERE u.id = ANY(%(ids)s)
               UNION ALL
               SELECT u.id, u.name, u.email, o.seen_at >= %(here)s
               FROM others o JOIN accounts_user u ON u.id = o.person_id""",
            {
                "order": order.pk, "person": person.pk, "now": now, "here": now - HERE,
                "lately": now - LATELY, "shown": SHOWN, "ids": list(ids),
            },
        )  # fmt: skip
        rows = cursor.fetchall()
    others = sorted((name or email, bool(here)) for _, name, email, here in rows if here is not None)
    people = {pk: User(pk=pk, name=name, email=email) for pk, name, email, here in rows if here is None}
    return [Other(*other) for other in others], people


def names_at(orders: list[Order], person: User) -> dict[object, list[str]]:
    """Order id -> names of the others who are at it now."""
    found = ReviewPresence.objects.filter(order__in=orders, seen_at__gte=timezone.now() - HERE)
    names: dict[object, list[str]] = {}
    for presence in found.exclude(person=person).select_related("person")[:200]:
        names.setdefault(presence.order_id, []).append(presence.person.get_full_name())
    return names


class Shown(NamedTuple):
    """What the page of an order says of others. `mark` is how the order was when it was drawn, `is_stale` whether it
    has changed since; `digest` is equal where all this is.
    """

    others: list[Other]
    mark: str
    is_stale: bool
    digest: str


def shown_at(order: Order, person: User, since: str = "") -> Shown:
    """Note that `person` is at the order; `since` is the mark of the page as it stands in the browser."""
    others: list[Other] | None = getattr(order, "others", None)
    if others is None:
        others, _ = be_here(order, person)
    now = f"{order.status}-{order.seen}-{len(order.notes.all())}"
    mark = since[:40] or now
    return Shown(
        others, mark, mark != now, sha256(repr((others, mark, mark != now)).encode()).hexdigest()[:16]
    )


def forget() -> int:
    return ReviewPresence.objects.filter(seen_at__lt=timezone.now() - KEPT).delete()[0]
