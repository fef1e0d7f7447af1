"""Rows that are gone are remembered for TOMBSTONES_KEPT, so that a server which was away that long hears of them. What
is forgotten raises the server's floor: from a point below it no page leads on, and the server is rebuilt.
"""

from collections import defaultdict
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from domains.models.server import MailServer, ServerRow

TOMBSTONES_KEPT = timedelta(days=90)
CHUNK = 1_000  # rows in one transaction, which keeps a server's writers waiting for some milliseconds


def forget_tombstones() -> int:
    """Forget what has been gone for TOMBSTONES_KEPT; how many rows."""
    forgotten, before = 0, timezone.now() - TOMBSTONES_KEPT
    while chunk := _oldest(before):
        forgotten += sum(_forget(server_id, rows, before) for server_id, rows in chunk.items())
    return forgotten


def _oldest(before: datetime) -> dict[int, list[int]]:
    """The ids of the next rows, by server."""
    old = ServerRow.objects.filter(gone=True, changed_at__lt=before).order_by("changed_at")
    by_server: dict[int, list[int]] = defaultdict(list)
    for server_id, row in old.values_list("server_id", "pk")[:CHUNK]:
        by_server[server_id].append(row)
    return by_server


def _forget(server_id: int, rows: list[int], before: datetime) -> int:
    """Delete those of the rows that are still gone, and raise the floor with it. The counter is locked first, as by
    whoever stamps: the two never wait for each other crosswise, and no row is stamped again meanwhile.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        MailServer.objects.select_for_update(no_key=True).get(pk=server_id)
        cursor.execute(_FORGET, {"server": server_id, "rows": rows, "before": before})
        return int(cursor.fetchone()[0])


_FORGET = """
WITH forgotten AS (
    DELETE FROM domains_serverrow WHERE id = ANY(%(rows)s) AND gone AND changed_at < %(before)s RETURNING revision
), raised AS (
    UPDATE domains_mailserver SET floor = greatest(floor, (SELECT max(revision) FROM forgotten))
    WHERE id = %(server)s
)
SELECT count(*) FROM forgotten
"""
