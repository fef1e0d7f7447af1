"""Stamping: which rows of which servers a transaction has changed, noted as its last statements before
COMMIT.

The counter of a server is locked for the commit alone, and revisions commit in order: whoever sees revision n
sees everything that was stamped up to n.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import connection, transaction

from accounts.models import Customer
from domains.driver.hints import hint
from domains.models.server import Kind
from foundation.unit_of_work import Work, current_work, unit_of_work
from mailnode.wire import MAX_ROWS

MOST = 2**63 - 1


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


def stamp_again(server_id: int, rows: Sequence[tuple[Row, bool]], *, compared: int) -> None:
    """Send these rows (and whether each is gone) to one server once more, whoever they belong to; those whose last
    change is newer than the revision `compared` are on their way already. In units of at most MAX_ROWS.
    """
    for start in range(0, len(rows), MAX_ROWS):
        with unit_of_work() as work:
            chunk = list(rows[start : start + MAX_ROWS])
            work.at_end("domains.stamping.again", partial(_write_to, server_id, chunk, newest=compared))
            transaction.on_commit(partial(hint, server_id), robust=True)


def _write(batch: Batch) -> None:
    for server_id, rows in sorted(_by_server(batch).items()):
        _write_to(server_id, rows)
        transaction.on_commit(partial(hint, server_id), robust=True)


def _by_server(batch: Batch) -> dict[int, list[tuple[Row, bool]]]:
    """The rows of each server on which their customers are placed.

    A placement that is under way is waited for, and the next one kept out until COMMIT: without it a mailbox
    that is added while its customer is being placed would be seen by neither of the two. `domains.placement`
    locks the customer FOR UPDATE, which conflicts with this lock; nothing else here does.
    """
    customers = list({customer for customer, _ in batch.values()})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM accounts_customer WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE", [customers]
        )
        cursor.execute(_PLACEMENTS, [customers])  # a statement of its own: it must see what was waited for
        servers = dict(cursor.fetchall())
    rows: dict[int, list[tuple[Row, bool]]] = {}
    for row, (customer, gone) in batch.items():
        if customer in servers:
            rows.setdefault(servers[customer], []).append((row, gone))
    return rows


def _write_to(server_id: int, rows: list[tuple[Row, bool]], newest: int = MOST) -> None:
    """Raise the server's counter and stamp these rows, unless one was stamped after `newest`; more than a page of them
    get several revisions.
    """
    revisions = -(-len(rows) // MAX_ROWS)
    with connection.cursor() as cursor:
        cursor.execute(
            _STAMP,
            {
                "server": server_id,
                "revisions": revisions,
                "page": MAX_ROWS,
                "kinds": [row.kind for row, _ in rows],
                "keys": [row.key for row, _ in rows],
                "gone": [gone for _, gone in rows],
                "newest": newest,
            },
        )


# Written out rather than left to the ORM: every change of every customer passes here, and holds the lock that
# all of a server's writers want.
_PLACEMENTS = """
SELECT customer_id, server_id FROM domains_placement WHERE customer_id = ANY(%s) AND placed_at IS NOT NULL
"""
_STAMP = """
WITH counter AS (
    UPDATE domains_mailserver SET revision = revision + %(revisions)s WHERE id = %(server)s RETURNING revision
)
INSERT INTO domains_serverrow (server_id, kind, key, revision, gone, changed_at)
SELECT %(server)s, kind, key, counter.revision - %(revisions)s + 1 + (number - 1) / %(page)s, gone,
       clock_timestamp()
FROM counter,
     unnest(%(kinds)s::text[], %(keys)s::uuid[], %(gone)s::boolean[]) WITH ORDINALITY
         AS stamped(kind, key, gone, number)
ON CONFLICT (server_id, kind, key) DO UPDATE
SET revision = excluded.revision, gone = excluded.gone, changed_at = excluded.changed_at
WHERE domains_serverrow.revision <= %(newest)s
"""
