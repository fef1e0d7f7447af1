"""The network address a request really came from."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase


def client_address(request: HttpRequest) -> str:
    """Return the client's IP address; `X-Forwarded-For` counts only from settings.TRUSTED_PROXIES.

    The header is read from its right end, skipping proxies that are trusted, so that what a client
    itself put there is never believed.
    """
    address = request.META.get("REMOTE_ADDR") or "127.0.0.1"
    for hop in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if not _is_trusted(address):
            return address
        try:
            address = str(ip_address(hop.strip()))
        except ValueError:
            return address
    return address


class ForwardedMiddleware:
    """Forgets what a client itself claims about its scheme: `X-Forwarded-Proto` counts only from trusted proxies."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not _is_trusted(request.META.get("REMOTE_ADDR", "")):
            request.META.pop("HTTP_X_FORWARDED_PROTO", None)
        return self.get_response(request)


def _is_trusted(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in ip_network(network, strict=False) for network in settings.TRUSTED_PROXIES)
