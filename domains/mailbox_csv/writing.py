"""The mailboxes of a domain as CSV, line by line, to be kept, changed and imported again."""

import csv
from collections.abc import Iterator
from typing import Any

from domains.mailbox_csv.reading import FORMULA
from domains.models import Domain

MB = 2**20
EXPORTED = ("username", "name", "quota_mb", "used_mb", "last_sign_in_at")  # never a password or its hash
AT_ONCE = 500


def export(domain: Domain) -> Iterator[str]:
    """Lines as RFC 4180 has them, in UTF-8 with the mark by which spreadsheets know it."""
    lines = csv.writer(_Echo())
    yield "\ufeff" + lines.writerow(EXPORTED)
    fields = ("local_part", "name", "quota_mb", "used_bytes", "last_sign_in_at")
    for *cells, used, seen in domain.mailboxes.live().values_list(*fields).iterator(AT_ONCE):
        facts = [*cells, used // MB, seen.isoformat(timespec="seconds") if seen else ""]
        yield lines.writerow([_harmless(fact) for fact in facts])


def _harmless(fact: Any) -> str:
    """A text that a spreadsheet shows and does not run; `reading` takes the ' away again."""
    text = str(fact)
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


class _Echo:
    """A file for csv.writer, which returns what its file's `write` does."""

    def write(self, line: str) -> str:
        return line
