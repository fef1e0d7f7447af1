"""What the order page and the privacy notice say about FraudRecord is what happens."""

import re
from collections.abc import Callable
from typing import Any

from django.core.checks import run_checks
from django.test import Client

from billing import fraudrecord as service
from billing.models import Order, SignalKind
from billing.screening import details_of
from deploy.fraudrecord import Server

SENT = {
    "name": "name",
    "company": "company",
    "email": "e-mail address",
    "address": "postal address (street, town, region)",
    "phone": "phone number",
    "ip": "network address",
    "domain": "domain",
}


def test_page_discloses_the_check_beside_the_button(client: Client, db: None, fraudrecord: Server) -> None:
    html = client.get("/order/").content.decode()
    assert re.search(r"fraudrecord\.com.{0,400}<button", html, re.DOTALL)
    for page in (html, client.get("/privacy/").content.decode()):
        assert "fraudrecord.com" in page
        for what in SENT.values():
            assert what in page


def test_what_is_disclosed_is_what_is_sent(ordered: Callable[..., Order]) -> None:
    """Every field that is filled in is sent, and named by the pages; nothing else is."""
    order = ordered(company="Acme", region="Bavaria", domain="acme.test")
    assert set(service.normalised(details_of(order) | {"accountpass": "secret"})) == set(SENT)
    assert set(service.FIELDS) == set(SENT)


def test_countries_for_which_nothing_is_sent_are_named(
    client: Client, db: None, fraudrecord: Server, settings: Any
) -> None:
    assert "nothing is sent:" not in client.get("/order/").content.decode()
    settings.FRAUDRECORD_OFF_COUNTRIES = ["DE", "AT"]
    for path in ("/order/", "/privacy/"):
        html = client.get(path).content.decode()
        assert re.search(r"billing address in\s+(<strong>)?Austria and Germany", html)


def test_without_a_key_the_page_says_that_nothing_is_sent(client: Client, db: None, settings: Any) -> None:
    settings.FRAUDRECORD_API_KEY = ""
    assert "Nothing is sent to fraudrecord.com" in client.get("/order/").content.decode()
    assert "At present nothing is sent to FraudRecord" in client.get("/privacy/").content.decode()


def test_every_kind_of_signal_of_our_own_is_named(client: Client, db: None) -> None:
    words = {
        "network": "network", "address": "address", "phone": "phone number", "company": "company",
        "payment": "payment reference", "disposable": "disposable", "reserved": "reserved",
        "domain": "domain is hosted here", "country": "another country", "speed": "how fast",
    }  # fmt: skip
    assert set(words) == set(SignalKind.values)
    html = client.get("/privacy/").content.decode()
    ourselves = html.partition("We also look ourselves")[2].partition("</p>")[0]
    for word in words.values():
        assert word in ourselves


def test_a_misspelt_country_is_refused_at_the_start(settings: Any) -> None:
    settings.FRAUDRECORD_OFF_COUNTRIES = ["DE", "UK"]
    assert [error.id for error in run_checks() if "UK" in error.msg] == ["billing.E001"]
    settings.FRAUDRECORD_OFF_COUNTRIES = ["DE", "GB"]
    assert not [error for error in run_checks() if error.id == "billing.E001"]
