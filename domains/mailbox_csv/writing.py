"""The mailboxes of a domain as CSV, line by line, to be kept, changed and imported again."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from domains.models import Domain
from foundation.csv_lines import MARK, csv_lines

MB = 2**20
EXPORTED = ("username", "name", "quota_mb", "used_mb", "last_sign_in_at")  # never a password or its hash
AT_ONCE = 500


def export(domain: Domain) -> Iterator[str]:
    """Lines as RFC 4180 has them, in UTF-8. `reading` takes the ' away again that keeps a spreadsheet from running a
    name.
    """
    lines = csv_lines(chain([EXPORTED], _rows(domain)))
    yield MARK + next(lines)
    yield from lines


def _rows(domain: Domain) -> Iterator[list[Any]]:
    fields = ("local_part", "name", "quota_mb", "used_bytes", "last_sign_in_at")
    for *cells, used, seen in domain.mailboxes.live().values_list(*fields).iterator(AT_ONCE):
        yield [*cells, used // MB, seen.isoformat(timespec="seconds") if seen else ""]
