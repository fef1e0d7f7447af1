"""Lines of CSV as RFC 4180 has them, one at a time, of which no spreadsheet runs any."""

import csv
from collections.abc import Iterable, Iterator
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how cells begin that a spreadsheet runs
MARK = "\ufeff"  # by which spreadsheets know that it is UTF-8, where it comes first


def csv_lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Each row as a line. Texts are made harmless, numbers and None are written as they are."""
    writer = csv.writer(_Echo())
    for row in rows:
        yield writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in row])


def harmless(text: str) -> str:
    """A text that a spreadsheet shows and does not run; one more ' before what begins with some keeps them apart."""
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


class _Echo:
    """A file for csv.writer, which returns what its file's `write` does."""

    def write(self, line: str) -> str:
        return line
