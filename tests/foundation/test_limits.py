"""Forms that are sent too often: from one address, one network, by one person."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from allauth.core.internal import ratelimit
from django.core.cache import cache
from django.db import connection
from django.test import Client

from foundation.limits import network_of

URL = "/c/acme/domains/add/"
LIMITS = {"domains:domain-add": {"address": 3, "network": 5, "person": 4}}


@pytest.fixture(autouse=True)
def limits(settings, db):
    settings.FORM_LIMITS = LIMITS
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    cache.clear()


@pytest.fixture
def send(as_, acme, alice, dave):
    """Send the form as somebody from an address; the answer's status."""
    clients: dict[str, Client] = {"alice": as_(alice), "dave": as_(dave)}

    def send(address: str, who: str = "alice"):
        return clients[who].post(URL, {"domain": ""}, headers={"X-Forwarded-For": address})

    return send


def test_one_address(send):
    assert [send("192.0.2.1").status_code for _ in range(3)] == [422] * 3
    page = send("192.0.2.1", "dave")
    assert page.status_code == 429
    assert page["Retry-After"] == "60"
    assert "Wait a minute" in page.content.decode()


def test_one_person(send):
    assert [send(f"198.51.{net}.1").status_code for net in range(5)] == [422] * 4 + [429]
    assert send("203.0.113.9", "dave").status_code == 422


def test_one_network(send):
    who = ["alice", "dave"] * 3
    answers = [send(f"192.0.2.{number}", who[number]).status_code for number in range(6)]
    assert answers == [422] * 5 + [429]
    assert send("192.0.3.1").status_code == 422


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_many_at_the_same_moment_wait_for_each_other(settings, send, monkeypatch):
    settings.FORM_LIMITS = {"domains:domain-add": {"address": 7, "network": 7, "person": 7}}
    monkeypatch.setattr(
        ratelimit, "CACHE_LOCK_WAIT_TIMEOUT", 0
    )  # a machine so busy that allauth's lock is never had

    def send_one(number: int) -> int:
        try:
            return send("192.0.2.1").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(send_one, range(8)))
    assert answers == [422] * 7 + [429]


def test_looking_is_never_limited(send, as_, alice, acme):
    for _ in range(5):
        send("192.0.2.1")
    assert as_(alice).get(URL).status_code == 200


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
    ],
)
def test_networks(address, network):
    assert network_of(address) == network
