"""Pages of changes: what follows a point of a server's history, read in one snapshot."""

from collections.abc import Iterable
from uuid import UUID

from django.db import connection, transaction

from domains.driver.agent import Refused
from domains.driver.points import mark_for
from domains.driver.rows import contents
from domains.models.server import MailServer, ServerRow
from mailnode import wire


class NeedsRebuild(Exception):
    """No page can lead from there to here; the message tells staff why."""


def next_page(
    server_id: int, base: wire.Point, pending: wire.Point | None = None, version: int = wire.WIRE
) -> wire.Changes | None:
    """What follows `base`, at most MAX_ROWS rows and no revision split; None when there is nothing. NeedsRebuild where
    it cannot be told in pages.

    Read in one REPEATABLE READ snapshot: a row is never newer than the revision that the page claims. A page that
    leads to the `pending` revision keeps its mark.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        revision, floor = MailServer.objects.values_list("revision", "floor").get(pk=server_id)
        if revision <= base.revision:
            return None
        after = ServerRow.objects.filter(server=server_id, revision__gt=base.revision).order_by("revision")
        rows = list(after.values_list("revision", "kind", "key", "gone")[: wire.MAX_ROWS + 1])
        _must_fit_pages(base, floor, len(rows))
        if len(rows) > wire.MAX_ROWS:
            beyond = rows[-1][0]
            rows = [row for row in rows if row[0] < beyond]
            if not rows:
                raise NeedsRebuild(f"Revision {beyond} changes more rows than a page carries.")
            revision = rows[-1][0]
        content = wired((kind, key) for _, kind, key, gone in rows if not gone)
    # What is gone from here may live on elsewhere: it is not for this server to see.
    content += [wire.row(kind, key.hex, None) for _, kind, key, gone in rows if gone]
    mark = mark_for(revision, pending)
    return wire.Changes(wire=version, base=base, revision=revision, mark=mark, rows=content)


def wired(rows: Iterable[tuple[str, UUID]]) -> list[wire.Row]:
    """What these rows say now; Refused for one that the wire does not carry."""
    try:
        return contents(rows)
    except wire.WireError as error:
        message = f"A row of ours cannot be sent: {error} ({error.kind} {error.key})"
        raise Refused(message, error.kind, error.key) from error


def _must_fit_pages(base: wire.Point, floor: int, rows: int) -> None:
    """An empty node is filled by one whole page or by a rebuild: it would begin to turn mail away for whatever a first
    of several pages does not name. And what is gone since before the floor is not known any more.
    """
    if base.revision == 0:
        if rows > wire.MAX_ROWS:
            raise NeedsRebuild("The server holds no rows, and there are too many to send them as one page.")
    elif base.revision < floor:
        raise NeedsRebuild(
            f"The server is at revision {base.revision}, and what was removed up to {floor} is forgotten here."
        )
