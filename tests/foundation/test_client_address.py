import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from foundation.client_address import ForwardedMiddleware, client_address


@pytest.mark.parametrize(
    ("trusted", "remote", "forwarded", "found"),
    [
        ([], "192.0.2.1", "203.0.113.9", "192.0.2.1"),
        (["192.0.2.0/24"], "192.0.2.1", "203.0.113.9", "203.0.113.9"),
        (["192.0.2.0/24"], "192.0.2.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (["192.0.2.0/24"], "192.0.2.1", "198.51.100.1, 203.0.113.9, 192.0.2.7", "203.0.113.9"),
        (["192.0.2.0/24"], "192.0.2.1", "nonsense", "192.0.2.1"),
        (["192.0.2.0/24"], "192.0.2.1", "", "192.0.2.1"),
    ],
)
def test_only_trusted_proxies_are_believed(settings, trusted, remote, forwarded, found):
    settings.TRUSTED_PROXIES = trusted
    assert (
        client_address(RequestFactory().get("/", REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR=forwarded)) == found
    )


@pytest.mark.parametrize(("remote", "kept"), [("192.0.2.1", "https"), ("203.0.113.9", None)])
def test_only_trusted_proxies_say_that_it_was_https(settings, remote, kept):
    settings.TRUSTED_PROXIES = ["192.0.2.0/24"]
    request = RequestFactory().get("/", REMOTE_ADDR=remote, HTTP_X_FORWARDED_PROTO="https")
    ForwardedMiddleware(lambda request: HttpResponse())(request)
    assert request.META.get("HTTP_X_FORWARDED_PROTO") == kept
