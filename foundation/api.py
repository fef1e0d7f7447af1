"""How the API speaks, whatever it speaks of: the envelope of MXroute's public API, its errors, and what a body may be."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404, JsonResponse
from rest_framework import exceptions, serializers, status
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

MOST_BYTES = 1 << 20  # of a body
MOST_ROWS = 100_000  # of a list without pages
MOST_WORDS = 500  # characters of a message
RETRY_AFTER = 5  # seconds, while the database is away
CODES: Mapping[int, str] = {
    400: "VALIDATION_ERROR",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "BUSINESS_ERROR",
    429: "RATE_LIMITED",
    500: "SERVER_ERROR",
    503: "SERVER_ERROR",
}
NOT_FOUND = "There is nothing of this name here."
# The codes that verbs give their refusals: what is there already, and what the rules of the house forbid now. The
# rest says that a value is not well formed.
CONFLICTS = frozenset({"taken", "exists"})
REFUSALS = frozenset(
    (
        "limit", "missing", "unchecked", "deleted", "purged", "staff", "often", "over", "early", "gone", "role",
        "last_owner", "offered", "blocked", "off", "removed",
    )
)  # fmt: skip


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"A body has at most {MOST_BYTES} bytes."


class Refused(exceptions.APIException):
    """What is well formed and still cannot be done."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY


class Conflict(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT


class EnvelopeRenderer(JSONRenderer):
    """`{"success": true, "data": …}` around what a view returns; an error comes as it is, 204 without a body."""

    charset = None

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        answered = (renderer_context or {})["response"].status_code
        if answered == status.HTTP_204_NO_CONTENT:
            return b""
        body = data if answered >= status.HTTP_400_BAD_REQUEST else {"success": True, "data": data}
        rendered: bytes = super().render(body, accepted_media_type, renderer_context)
        return rendered


class OneAnswer(BaseContentNegotiation):
    """Every answer is JSON, whatever the client accepts; a body must say that it is."""

    def select_parser(self, request: Any, parsers: Iterable[Any]) -> Any:
        given = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == given), None)

    def select_renderer(self, request: Any, renderers: Iterable[Any], format_suffix: Any = None) -> Any:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class BodyParser(JSONParser):
    """One JSON object of at most MOST_BYTES in UTF-8, each of its names once (RFC 8259, section 4)."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> dict[str, Any]:
        raw = stream.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise TooLarge
        try:
            parsed = json.loads(raw.decode(), object_pairs_hook=_once_each, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise exceptions.ParseError("The body is not JSON as RFC 8259 has it.") from error
        if not isinstance(parsed, dict):
            raise exceptions.ParseError("The body must be one JSON object.")
        return parsed


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


class Body(serializers.Serializer):
    """What a call takes. A name that it does not know is refused, never passed over."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = [name for name in data if name not in self.fields] if isinstance(data, Mapping) else []
        if unknown:
            shown = ascii(str(unknown[0])[:60])
            raise serializers.ValidationError({shown: ["There is no such field here."]}, code="unknown")
        return super().to_internal_value(data)


def checked(body: type[Body], data: Any, **more: Any) -> dict[str, Any]:
    """The cleaned values of a body; rest_framework's ValidationError, which becomes 400, names the first wrong field."""
    form = body(data=data, **more)
    form.is_valid(raise_exception=True)
    values: dict[str, Any] = form.validated_data
    return values


def cut(rows: Any) -> tuple[list[Any], dict[str, str]]:
    """The first MOST_ROWS of a query, and the headers that say so where there are more: lists of MXroute's API have no
    pages, and its clients would take an error for the end of the service.
    """
    found = list(rows[: MOST_ROWS + 1])
    return found[:MOST_ROWS], {"X-Truncated": "true"} if len(found) > MOST_ROWS else {}


def failure(code: int, message: str, field: str = "") -> dict[str, Any]:
    error = {"code": CODES[code], "message": _harmless(message)}
    field = _harmless(field)
    return {"success": False, "error": {**error, "field": field} if field else error}


def _harmless(text: str) -> str:
    """What may repeat somebody's input: short, and of characters that UTF-8 and the database know."""
    return text[:MOST_WORDS].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def failed(code: int, message: str) -> JsonResponse:
    """The envelope of an error where no view was reached."""
    return JsonResponse(failure(code, message), status=code)


def on_error(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """rest_framework's EXCEPTION_HANDLER. None for what nobody foresaw: that is a 500, and is logged."""
    headers = {}
    match error:
        case Http404() | exceptions.NotFound():
            answer = (404, NOT_FOUND, "")
        case PermissionDenied():
            answer = (403, str(error) or "This key does not reach so far.", "")
        case serializers.ValidationError():
            answer = (400, *_first(error.detail))
        case ValidationError():
            answer = _of_verb(error, getattr(context.get("view"), "names", {}))
        case OperationalError() | InterfaceError():
            answer, headers = (503, "The database is away. Try again.", ""), {"Retry-After": str(RETRY_AFTER)}
        case exceptions.APIException():
            answer = (error.status_code, str(error.detail), "")
            if wait := getattr(error, "wait", None):
                headers["Retry-After"] = str(int(wait))
            if challenge := getattr(error, "auth_header", None):
                headers["WWW-Authenticate"] = challenge
        case _:
            return None
    code, message, field = answer
    return Response(failure(code, message, field), status=code, headers=headers)


def _first(detail: Any, field: str = "") -> tuple[str, str]:
    """(message, field) of the first error of a serializer."""
    while isinstance(detail, Mapping | list):
        if isinstance(detail, Mapping):
            name, detail = next(iter(detail.items()))
            field = name if isinstance(name, str) and name != "non_field_errors" else field
        else:
            detail = next((each for each in detail if each), "")
    return str(detail), field


def _of_verb(error: ValidationError, names: Mapping[str, str]) -> tuple[int, str, str]:
    """A verb's refusal as (status, message, field); `names` are the API's for the verb's arguments."""
    field, found = "", error
    if hasattr(error, "error_dict"):
        field, errors = next(iter(error.error_dict.items()))
        found = errors[0]
    elif error.error_list:
        found = error.error_list[0]
    kind = getattr(found, "code", None)
    code = 409 if kind in CONFLICTS else 422 if kind in REFUSALS else 400
    field = "" if field == "__all__" else names.get(field, field)
    return code, " ".join(found.messages), field
