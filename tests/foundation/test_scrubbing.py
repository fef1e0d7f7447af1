import logging
from urllib.parse import quote

import pytest
from django.urls import reverse

from foundation.scrubbing import ScrubbingFormatter, scrub
from tests.test_census import named_urls

# What a path may name that opens nothing to whoever reads it. Any other part of a path is taken for a one-time key.
HARMLESS = {
    "customer", "member", "invitation", "number", "domain", "import_id", "username", "bulk", "pk", "server",
    "content_type_id", "object_id", "url", "app_label", "api_key", "webhook", "delivery",
    "invoice", "year", "card", "plan", "period", "grant", "free", "dispute",
}  # fmt: skip
WITH_KEYS = sorted(name for name, keys in named_urls().items() if keys - HARMLESS)


@pytest.mark.parametrize(
    "text",
    [
        "password=MARKER",
        "{'password1': 'MARKER'}",
        '"token": "MARKER"',
        "Authorization: Bearer MARKER",
        "postgresql://panel:MARKER@db/panel",
        "{ARGON2ID}$argon2id$v=19$MARKER",
        "signed with 'whsec_MARKER+/=' at",
        "Not Found: /accounts/confirm-email/MARKER/",
        "Not Found: /accounts/password/reset/key/MARKER/",
        "Not Found: /accounts/data/exports/MARKER/",
        "Not Found: /accounts/data/deletions/MARKER/",
        "Conflict: /order/question/MARKER/",
        "_api=MARKER&name=x",
        "api_key = MARKER",
    ],
)
def test_a_secret_never_reaches_a_log(text):
    assert "MARKER" not in scrub(text)


@pytest.mark.parametrize("name", WITH_KEYS)
def test_no_one_time_key_of_any_page_reaches_a_log(name):
    path = reverse(name, kwargs=dict.fromkeys(named_urls()[name], "MARKER".ljust(43, "x")))
    once = quote(path, safe="")
    for seen in (
        path,
        f"{path}?MARK",
        f"/accounts/login/?next={path}",
        once,
        once.lower(),
        quote(once, safe=""),
    ):
        seen = seen.replace("marker", "MARKER")
        assert "MARKER" not in scrub(f'192.0.2.7 "GET {seen} HTTP/1.1" 302 "https://panel.test{seen}"'), seen


def test_pages_with_one_time_keys_are_found():
    assert {"accounts:email-change", "accounts:factor-lift", "account_confirm_email"} <= set(WITH_KEYS)


def test_a_key_with_colons_goes_whole():
    line = scrub(
        "Not Found: /accounts/second-factor/abc:1x:MARKER/ next=%2Faccounts%2Femail%2Fchange%2FIk%3A1%3AMARKER%2F&x=1"
    )
    assert "MARKER" not in line
    assert line.endswith("&x=1")


def test_an_ordinary_line_stays_as_it_is():
    line = "order 17 of acme: check finished in 0.4 s"
    assert scrub(line) == line


def test_tracebacks_are_scrubbed_too():
    try:
        raise ValueError("password='MARKER'")
    except ValueError:
        import sys

        record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    assert "MARKER" not in ScrubbingFormatter("{message}", style="{").format(record)
