"""Requests to the agent and its answers, each a shape of `mailnode.wire`."""

from typing import TypeVar

import msgspec
from aiohttp import web

from mailnode import wire

T = TypeVar("T")


class Refused(Exception):
    """An answer other than success: its HTTP status and what to say."""

    def __init__(self, http_status: int, refusal: wire.Refusal) -> None:
        super().__init__(refusal.error)
        self.http_status = http_status
        self.refusal = refusal


def body_of(body: bytes, shape: type[T]) -> T:
    """The shape in a body; 400 when it is none."""
    try:
        return wire.decode(body, shape)
    except wire.WireError as error:
        raise Refused(400, wire.Refusal(error=str(error))) from None


def parameter(request: web.Request, name: str, shape: object) -> str:
    """One query parameter, checked; 400 when it does not fit."""
    try:
        return str(msgspec.convert(request.query.get(name, ""), shape))
    except msgspec.ValidationError:
        raise Refused(400, wire.Refusal(error=f"parameter {name} is missing or malformed")) from None


def limit_of(request: web.Request) -> int:
    """The parameter limit; 400 when it is no number that a page may hold."""
    text = request.query.get("limit", str(wire.MAX_ENTRIES))
    if not (text.isdecimal() and text.isascii() and 1 <= int(text[:9]) <= wire.MAX_ENTRIES):
        raise Refused(400, wire.Refusal(error=f"parameter limit is a number from 1 to {wire.MAX_ENTRIES}"))
    return int(text)


def answer(value: wire.Wire, http_status: int = 200) -> web.Response:
    """A shape as the answer."""
    return web.Response(body=wire.encode(value), status=http_status, content_type="application/json")
