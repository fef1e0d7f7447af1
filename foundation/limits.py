"""How often a form may be sent from one address, from one network and by one person. Counted in the default cache, which is
PostgreSQL, so the limits hold without Redis; each count slides, so nobody is locked out for good.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from time import time
from typing import Any

from allauth.core.internal import ratelimit  # the public one counts allauth's own actions alone
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from foundation.client_address import client_address

RETRY_AFTER = 60  # seconds, the length of every limit
WRONG_KEYS = 60  # a minute from one network
COUNTING = 0x6D78_666C  # "mxfl", our class of advisory locks
NETWORKS = {4: 24, 6: 48}  # by version of the protocol: the bits that one operator's customer has in common


def network_of(address: str) -> str:
    """The network that an IP address belongs to: a /24 of IPv4 or a /48 of IPv6, in CIDR notation; ValueError for
    anything else. An IPv4 address in IPv6's clothes (`::ffff:192.0.2.1`) is an IPv4 address.
    """
    parsed = ip_address(address)
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(ip_network((parsed, NETWORKS[parsed.version]), strict=False))


class LimitMiddleware:
    """Answers 429 to a POST of a page in settings.FORM_LIMITS that was sent too often: view name -> {`address`, `network`
    or `person` -> times a minute}.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        name = request.resolver_match.view_name
        limits: Mapping[str, int] = settings.FORM_LIMITS.get(name, {})
        if request.method != "POST" or not limits:
            return None
        with _in_turn(f"{name} {network_of(client_address(request))}"):
            is_one_too_many = not all(
                _counted(request, f"{name}:{what}", f"{limits[what]}/m/key", who)
                for what, who in _senders(request)
                if what in limits
            )
        return too_many(request) if is_one_too_many else None


def too_many(request: Any, exception: Exception | None = None) -> HttpResponse:
    """Also the URL configuration's `handler429`, which django-allauth calls for its own limits."""
    answer = render(request, "429.html", status=429)
    answer["Retry-After"] = str(RETRY_AFTER)
    return answer


def count_wrong_key(request: HttpRequest) -> bool:
    """Count a call of the API with a wrong key, also one that only reads; false where too many came from its network
    within this minute.
    """
    return count_wrong("wrong-keys", request) <= WRONG_KEYS


def count_wrong(what: str, request: HttpRequest) -> int:
    """Count one more wrong thing of this kind from its network; how many that makes within this minute."""
    key = _key_of_wrong(what, request)
    cache.add(key, 0, 2 * RETRY_AFTER)
    try:
        return int(cache.incr(key))
    except ValueError:  # the cache was emptied in between
        return 1


def wrong_so_far(what: str, request: HttpRequest) -> int:
    """The same without counting one."""
    return int(cache.get(_key_of_wrong(what, request), 0))


def _key_of_wrong(what: str, request: HttpRequest) -> str:
    return f"{what}:{network_of(client_address(request))}:{int(time() // RETRY_AFTER)}"


def _senders(request: Any) -> Iterator[tuple[str, str]]:
    address = client_address(request)
    yield "address", address
    yield "network", network_of(address)
    if request.user.is_authenticated:
        yield "person", str(request.user.pk)


@contextmanager
def _in_turn(sender: str) -> Iterator[None]:
    """One at a time counts for a sender, the others wait: allauth's own lock gives up after a second, and then calls a
    double click on a busy machine one too many.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [COUNTING, sender])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", [COUNTING, sender])


def _counted(request: HttpRequest, action: str, rate: str, who: str) -> bool:
    """Count this one; false where there were too many before."""
    found = ratelimit.consume(request, app="panel", action=action, config={action: rate}, key=who)
    return found is not None
