"""Reports as CSV (RFC 4180) for accountants: UTF-8 with the mark by which spreadsheets know it, sent line by line."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from django.http import StreamingHttpResponse
from django.utils.text import slugify

from accounts import audit
from foundation.csv_lines import MARK, csv_lines
from foundation.unit_of_work import unit_of_work


def csv_file(
    request: Any,
    of: str,
    columns: Iterable[str],
    lines: Iterable[list[Any]],
    words: dict[str, str] | None = None,
) -> StreamingHttpResponse:
    """The answer with this file. That it was fetched, `of` what and with which `words`, stands in the audit trail first."""
    with unit_of_work():
        audit.record("books.download", by=request.user, subject=of, after=words)
    written = csv_lines(chain([columns], lines))
    answer = StreamingHttpResponse(chain([MARK], written), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{slugify(of)}.csv"'
    return answer
