"""How Stripe says no."""

from typing import Any


class Refusal(Exception):
    """An error reply. `kind` is Stripe's type: `invalid_request_error`, `card_error`, `idempotency_error`, `api_error`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str = "",
        param: str = "",
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        words = {"message": message, "type": kind, "code": code, "param": param, **more}
        self.body = {"error": {name: value for name, value in words.items() if value}}


def no_such(kind: str, which: str, param: str = "id") -> Refusal:
    return Refusal(404, f"No such {kind}: '{which}'", code="resource_missing", param=param)


def not_played(what: str) -> Refusal:
    """Of what Stripe can do and the stand-in cannot: better no answer than another one than Stripe's."""
    return Refusal(400, f"This stand-in for Stripe does not play {what}.", code="stand_in_lacks_it")
