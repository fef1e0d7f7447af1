"""Two sides of a mail server's rows, what it should hold and what it holds, compared by their hashes."""

from collections.abc import Sequence
from typing import NamedTuple

from domains.driver.wishes import Entry
from domains.models import MailServer, ServerRow
from mailnode import wire

MISSING, OTHER, SURPLUS = "missing on the server", "different on the server", "only on the server"

Hashes = dict[tuple[str, str], str]  # (kind, key) -> row hash


class Found(NamedTuple):
    """A row that differs between the two sides at the revision `compared`."""

    kind: str
    key: str
    what: str
    compared: int


def summary(entries: Sequence[Entry]) -> tuple[int, str]:
    """All rows of a domain in one number, as the server says it, too."""
    return len(entries), wire.digest_hash(entries)


def hash_of(row: wire.Row) -> str:
    """The hash of a row that a server holds; "" where it breaks the wire's bounds, which differs from any other."""
    try:
        data = wire.data_of(row)
    except wire.WireError:
        return ""
    return "" if data is None else wire.row_hash(row.kind, row.key, data)


def between(after: str, last: str | None, *sides: Hashes) -> list[Hashes]:
    """The rows of each side that come after the place "<kind>:<key>" `after`, up to `last` (None: to the end), and whose
    kinds are known.
    """
    return [
        {
            (kind, key): value
            for (kind, key), value in side.items()
            if kind in wire.KINDS and after < f"{kind}:{key}" and (last is None or f"{kind}:{key}" <= last)
        }
        for side in sides
    ]


def differing(server: MailServer, sides: Sequence[Hashes], compared: int) -> list[Found]:
    """The rows that are not equal on both sides, the wished and the held one, without those that changed after the
    revision `compared`.
    """
    wished, held = sides
    rows = {row for row in wished.keys() | held.keys() if wished.get(row) != held.get(row)}
    later = ServerRow.objects.filter(server=server, revision__gt=compared, key__in=[key for _, key in rows])
    newer = {(kind, key.hex) for kind, key in later.values_list("kind", "key")} if rows else set()
    return [
        Found(kind, key, _what((kind, key), wished, held), compared) for kind, key in sorted(rows - newer)
    ]


def _what(row: tuple[str, str], wished: Hashes, held: Hashes) -> str:
    if row not in held:
        return MISSING
    return OTHER if row in wished else SURPLUS
