"""Stops what no page of ours ever takes, before it reaches one."""

from collections.abc import Callable

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponseBase


class HostileInputMiddleware:
    """A NUL in a path, query or cookie answers 400: PostgreSQL stores none, so it can only be an attack or a mistake.

    Form fields refuse NUL by themselves (Django's ProhibitNullCharactersValidator), with an error at the field.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        values = (request.path, *request.COOKIES.values())
        if any("\0" in value for value in values) or "%00" in request.META.get("QUERY_STRING", ""):
            raise SuspiciousOperation("NUL in the address or a cookie")
        return self.get_response(request)
