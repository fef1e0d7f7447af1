import logging

import pytest

from foundation.scrubbing import ScrubbingFormatter, scrub


@pytest.mark.parametrize(
    "text",
    [
        "password=MARKER",
        "{'password1': 'MARKER'}",
        '"token": "MARKER"',
        "Authorization: Bearer MARKER",
        "postgresql://panel:MARKER@db/panel",
        "{ARGON2ID}$argon2id$v=19$MARKER",
        "Not Found: /accounts/confirm-email/MARKER/",
        "Not Found: /accounts/password/reset/key/MARKER/",
        "_api=MARKER&name=x",
        "api_key = MARKER",
    ],
)
def test_a_secret_never_reaches_a_log(text):
    assert "MARKER" not in scrub(text)


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
