"""Stamping: which rows of which servers a transaction has changed, noted as its last statements before
COMMIT.

The counter of a server is locked for the commit alone, and revisions commit in order: whoever sees revision n
sees everything that was stamped up to n.
"""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Customer
from domains.driver.hints import hint
from domains.models.server import Kind, Placement, ServerRow
from foundation.unit_of_work import Work, current_work
from mailnode.wire import MAX_ROWS


class Row(NamedTuple):
    kind: str
    key: UUID


class Batch(dict[Row, tuple[UUID, bool]]):
    """What one unit of work has stamped: row -> (id of the customer it belongs to, whether it is gone)."""


_batches: WeakKeyDictionary[Work, Batch] = WeakKeyDictionary()


def stamp(customer: Customer, kind: Kind, key: UUID, *, gone: bool = False) -> None:
    """Note that this row changed or is gone; RuntimeError outside of a unit of work."""
    work = current_work()
    batch = _batches.setdefault(work, Batch())
    batch[Row(kind.value, key)] = (customer.pk, gone)
    work.at_end("domains.stamping", lambda: _write(batch))


def _write(batch: Batch) -> None:
    for server_id, rows in sorted(_by_server(batch).items()):
        _write_to(server_id, rows)
        transaction.on_commit(partial(hint, server_id), robust=True)


def _by_server(batch: Batch) -> dict[int, list[tuple[Row, bool]]]:
    """The rows of each server on which their customers are placed."""
    customers = {customer for customer, _ in batch.values()}
    _hold_placements(customers)
    placed = Placement.objects.filter(customer__in=customers).exclude(placed_at=None)
    servers = dict(placed.values_list("customer_id", "server_id"))
    rows: dict[int, list[tuple[Row, bool]]] = {}
    for row, (customer, gone) in batch.items():
        if customer in servers:
            rows.setdefault(servers[customer], []).append((row, gone))
    return rows


def _hold_placements(customers: Iterable[UUID]) -> None:
    """Wait for a placement of these customers that is under way, and keep the next out until COMMIT.

    Without it a mailbox that is added while its customer is being placed would be seen by neither of the two.
    `domains.placement` locks the customer FOR UPDATE, which conflicts with this and nothing else does here.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM accounts_customer WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE", [list(customers)]
        )


def _write_to(server_id: int, rows: list[tuple[Row, bool]]) -> None:
    """Raise the server's counter and stamp these rows; more than a page of them get several revisions."""
    revisions = -(-len(rows) // MAX_ROWS)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE domains_mailserver SET revision = revision + %s WHERE id = %s RETURNING revision",
            [revisions, server_id],
        )
        first = cursor.fetchone()[0] - revisions + 1
    now = timezone.now()
    ServerRow.objects.bulk_create(
        [
            ServerRow(
                server_id=server_id,
                kind=row.kind,
                key=row.key,
                gone=gone,
                changed_at=now,
                revision=first + number // MAX_ROWS,
            )
            for number, (row, gone) in enumerate(rows)
        ],
        update_conflicts=True,
        unique_fields=["server", "kind", "key"],
        update_fields=["revision", "gone", "changed_at"],
    )
