"""How calls of the API are described: in OpenAPI, each with its envelope, its errors and an example."""

import re
from collections.abc import Callable
from typing import Any

from django.utils.text import slugify
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers

from foundation.api import CODES, MOST_ROWS, failure

ALWAYS = (400, 401, 403, 404, 429)
WHY = {
    400: "A value is not well formed; `field` names it.",
    401: "No key, or not a good one.",
    403: "The key lacks the right, or the service is not running; the message says which.",
    404: "It does not exist, or is another's.",
    409: "It exists already, or another call is at work.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    422: "A rule of the house or a limit of the plan forbids it; the message says which.",
    429: "Too many calls; `Retry-After` says when to go on.",
    503: "The database is away.",
}
MESSAGES = {
    400: "This field is required.",
    401: "This key is not known here, or not for this account and server.",
    403: "This key lacks the right mailboxes:edit, or its member does.",
    404: "There is nothing of this name here.",
    409: "A mailbox with this address exists. Choose another name, or change that mailbox.",
    413: "A body has at most 1048576 bytes.",
    415: "Send application/json.",
    422: "Your plan holds 100 mailboxes, and 100 are there. Delete some, or take a larger plan.",
    429: "20 changes a minute are the limit of a key.",
    503: "The database is away. Try again.",
}


class FailureDetail(serializers.Serializer):
    code = serializers.ChoiceField(sorted(set(CODES.values())))
    message = serializers.CharField()
    field = serializers.CharField(required=False)


class Failure(serializers.Serializer):
    success = serializers.BooleanField(default=False)
    error = FailureDetail()


ONCE = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key within 24 hours gets the same answer, and nothing is done twice.",
)
CUT = OpenApiParameter(
    "X-Truncated",
    str,
    OpenApiParameter.HEADER,
    response=[200],
    enum=["true"],
    description=f"Where there is more than the first {MOST_ROWS:,}, which this list holds.",
)
CURSOR = OpenApiParameter("cursor", str, description="`next_cursor` of the page before.")
LIMIT = OpenApiParameter("limit", int, description="How many, at most 200.")


def described(
    summary: str,
    *,
    data: Any = None,
    body: Any = None,
    status: int = 200,
    errors: tuple[int, ...] = (),
    example: Any = None,
    sent: Any = None,
    parameters: tuple[OpenApiParameter, ...] = (),
    tag: str,
) -> Callable[..., Any]:
    """Describe a method of an ApiView: what it takes (`body`, for example `sent`) and what stands in the envelope's
    `data` (for example `example`). `errors` are the statuses beside those that every call may have.
    """
    taken = (*ALWAYS, 413, 415) if body else ALWAYS
    answers: dict[int, Any] = {code: _failed(code) for code in sorted({*taken, *errors, 503})}
    if status == 204:
        answers[204] = OpenApiResponse(description="Done; there is no body.")
    else:
        shown = (
            [OpenApiExample(summary, value={"success": True, "data": example})] if example is not None else []
        )
        answers[status] = OpenApiResponse(_envelope(data), examples=shown, description="Done.")
    once = (ONCE,) if status in (201, 202) or (body and status != 200) else ()
    asked = [OpenApiExample(summary, value=sent, request_only=True)] if sent is not None else []
    decorate: Callable[..., Any] = extend_schema(
        operation_id=slugify(re.split("[;:]", summary)[0]).replace("-", "_"),
        summary=summary,
        description=summary,
        request=body,
        responses=answers,
        parameters=[*parameters, *once],
        examples=asked,
        tags=[tag],
    )
    return decorate


def _envelope(data: Any) -> Any:
    inner = data() if isinstance(data, type) else data
    plain = getattr(inner, "child", inner)
    plural = "List" if hasattr(inner, "child") else ""
    name = type(plain).__name__.replace("Field", "").replace("Serializer", "")
    key = f"{name}{plural}Envelope"
    if key not in _envelopes:
        _envelopes[key] = inline_serializer(
            key, {"success": serializers.BooleanField(default=True), "data": inner}
        )
    return _envelopes[key]


_envelopes: dict[str, Any] = {}


def _failed(code: int) -> OpenApiResponse:
    example = failure(code, MESSAGES[code], "username" if code == 400 else "")
    return OpenApiResponse(
        Failure, description=WHY[code], examples=[OpenApiExample(CODES[code], value=example)]
    )
