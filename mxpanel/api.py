"""The API as a whole: its paths, who is let in, and what is answered where no view is reached."""

from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from drf_spectacular.extensions import OpenApiAuthenticationExtension

from accounts.api.authentication import KeyAuthentication
from accounts.key_lookup import Extra
from domains.placement import name_of_server

PREFIX = "/api/"


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(PREFIX)


class ApiMiddleware:
    """Takes a path with a slash at its end for the same without."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if is_api(request) and request.path_info != PREFIX:
            request.path_info = request.path_info.rstrip("/")
        return self.get_response(request)


class PanelKeyAuthentication(KeyAuthentication):
    """Knows which mail server is meant by X-Server."""

    more_to_read: Extra = (("server", name_of_server("customer")),)

    def is_meant(self, key: Any, headers: Mapping[str, str]) -> bool:
        return super().is_meant(key, headers) and headers.get("X-Server", "").lower() == (key.server or "")


class KeyScheme(OpenApiAuthenticationExtension):
    """How PanelKeyAuthentication is described: either way to send a key."""

    target_class = PanelKeyAuthentication
    name = ["bearer", "server", "username", "key"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        headers = {"server": "X-Server", "username": "X-Username", "key": "X-API-Key"}
        sent = [{"type": "apiKey", "in": "header", "name": header} for header in headers.values()]
        return [{"type": "http", "scheme": "bearer"}, *sent]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return [{"bearer": []}, {"server": [], "username": [], "key": []}]
