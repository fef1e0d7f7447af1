"""The example of nginx keeps the one-time keys of all links out of its log."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from django.urls import reverse

from tests.foundation.test_scrubbing import WITH_KEYS
from tests.test_census import named_urls

EXAMPLE = (Path(__file__).parents[2] / "deploy/nginx/mxpanel.conf").read_text()
LINKS = re.search(r'"~\*(\^.*)" "\$shown\[removed\]";', EXAMPLE)


def logged(uri: str) -> str:
    """As nginx's `map` makes it; Python writes named groups with a P."""
    assert LINKS
    found = re.match(LINKS[1].replace("(?<", "(?P<"), uri, re.IGNORECASE)
    return f"{found['shown']}[removed]" if found else uri


@pytest.mark.parametrize("name", WITH_KEYS)
def test_no_one_time_key_of_any_page_is_logged(name: str) -> None:
    path = reverse(name, kwargs=dict.fromkeys(named_urls()[name], "MARKER".ljust(43, "x")))
    once = quote(path, safe="")
    for uri in (
        path,
        f"{path}?x=1",
        f"/accounts/login/?next={path}",
        f"/?next={once}",
        f"/?next={quote(once)}",
    ):
        assert "MARKER" not in logged(uri), uri


def test_other_addresses_are_logged_whole() -> None:
    for uri in ("/c/acme/domains/?q=mailbox", "/accounts/password/reset/", "/mailbox/ready/"):
        assert logged(uri) == uri


def test_neither_other_addresses_nor_whole_requests_are_logged() -> None:
    formats = re.findall(r"log_format[^;]*;", EXAMPLE)
    assert len(formats) == 1
    assert not re.search(r"\$(request|request_uri|http_referer|args|uri)\b", formats[0])
    assert re.findall(r"access_log ([^;]*);", EXAMPLE) == ["off", "/var/log/nginx/mxpanel.log mxpanel"]
    assert re.findall(r"error_log \S* (\w+);", EXAMPLE) == ["crit"]
