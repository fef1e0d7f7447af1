"""Everything that a mail server should hold, page by page, as it is at one moment."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction

from domains.driver.pages import wired
from domains.models.server import MailServer, ServerRow
from mailnode import wire


class Part(NamedTuple):
    """A page of what a server should hold at `revision`, which is `total` rows in all."""

    revision: int
    total: int
    rows: list[wire.Row]
    last: bool


def walk(server_id: int) -> Iterator[Part]:
    """All rows of a server in the order of (kind, key), in one snapshot that lasts until the end; at least one page."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        revision = MailServer.objects.values_list("revision", flat=True).get(pk=server_id)
        index = ServerRow.objects.filter(server=server_id, gone=False)
        total = index.count()
        keys = index.order_by("kind", "key").values_list("kind", "key").iterator(chunk_size=wire.MAX_ROWS)
        page, following = _page(keys), _page(keys)
        while following:
            yield Part(revision, total, _present(page), last=False)
            page, following = following, _page(keys)
        yield Part(revision, total, _present(page), last=True)


def _page(keys: Iterator[tuple[str, UUID]]) -> list[tuple[str, UUID]]:
    return list(islice(keys, wire.MAX_ROWS))


def _present(keys: list[tuple[str, UUID]]) -> list[wire.Row]:
    return [row for row in wired(keys) if row.data is not None]
