"""One name for each request, in the answer's `X-Request-Id` and in every line that is logged meanwhile."""

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from django.core.signals import request_finished
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseBase

HARMLESS = re.compile(r"[A-Za-z0-9._-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="")


class RequestIdMiddleware:
    """Takes the client's own name for the request where it is harmless in a log, or makes a new one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-Id", "")
        name = given if HARMLESS.fullmatch(given) else str(uuid4())
        _current.set(name)
        response = self.get_response(request)
        response["X-Request-Id"] = name
        return response


@receiver(request_finished)
def _forget(**kwargs: Any) -> None:
    """Only now: Django logs what it answered after the last middleware, and answers go on while they are streamed."""
    _current.set("")


class RequestIdFilter(logging.Filter):
    """Gives each record `of_request`: the name in brackets, or nothing outside of requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        name = _current.get()
        record.of_request = f"[{name}] " if name else ""
        return True
