"""Pages of what goes beyond MXroute's API: newest first, each with a cursor for the next."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import models
from rest_framework.exceptions import ParseError

MOST, USUAL = 200, 50
NOT_OURS = "This cursor is none of ours. Begin without one."
Row = TypeVar("Row", bound=models.Model)


def page_of(
    rows: "models.QuerySet[Row]", request: Any, *, order: Sequence[str]
) -> tuple[list[Row], str | None]:
    """The rows of the page that `?cursor=` and `?limit=` ask for, by (moment, key) falling, and the next cursor.

    ParseError (400) for a cursor that we did not make and for a limit that is not 1 to 200.
    """
    at, key = order
    limit = _limit(request.query_params.get("limit", str(USUAL)))
    if cursor := request.query_params.get("cursor"):
        moment, last = _read(cursor, rows.model._meta.pk)
        rows = rows.filter(**{f"{at}__lte": moment}).exclude(**{at: moment, f"{key}__gte": last})
    found = list(rows.order_by(f"-{at}", f"-{key}")[: limit + 1])
    if len(found) <= limit:
        return found, None
    return found[:limit], _write(getattr(found[limit - 1], at), getattr(found[limit - 1], key))


def page_by_number(rows: "models.QuerySet[Row]", request: Any) -> tuple[list[Row], str | None]:
    """The same for rows whose numbers rise as they come about: by number falling, which needs no moment."""
    limit = _limit(request.query_params.get("limit", str(USUAL)))
    if cursor := request.query_params.get("cursor"):
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise ParseError(NOT_OURS)
        rows = rows.filter(pk__lt=int(cursor))
    found = list(rows.order_by("-pk")[: limit + 1])
    return found[:limit], str(found[limit - 1].pk) if len(found) > limit else None


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MOST):
        raise ParseError(f"A page has 1 to {MOST} rows.")
    return int(text)


def _write(moment: datetime, key: Any) -> str:
    return urlsafe_b64encode(f"{moment.isoformat()} {key}".encode()).decode().rstrip("=")


def _read(cursor: str, pk: Any) -> tuple[datetime, Any]:
    try:
        at, _, key = urlsafe_b64decode(cursor[:200] + "=" * (-len(cursor[:200]) % 4)).decode().partition(" ")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("no zone")
        return moment, pk.to_python(key)
    except Exception as error:
        raise ParseError(NOT_OURS) from error
