"""What is logged during a request names it as its answer does."""

import logging
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.test import Client

from billing.models import Plan
from foundation.scrubbing import ScrubbingFormatter


@pytest.fixture
def log() -> Iterator[StringIO]:
    """What the panel writes to its terminal."""
    (terminal,) = (
        each for each in logging.getLogger().handlers if isinstance(each.formatter, ScrubbingFormatter)
    )
    written = StringIO()
    before = terminal.setStream(written)
    yield written
    terminal.setStream(before)


@pytest.fixture
def client(db: None) -> Client:
    return Client(raise_request_exception=False)


def fail(*args: Any, **more: Any) -> None:
    raise ValueError("a mistake")


def test_a_mistake_on_a_page(client: Client, log: StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plan.objects, "filter", fail)
    answer = client.get("/plans/")
    assert answer.status_code == 500
    assert f"[{answer['X-Request-Id']}] Internal Server Error: /plans/" in log.getvalue()


def test_a_mistake_in_the_api(program: Any, log: StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.api.resources.page_of", fail)
    assert program.get("members", **{"X-Request-Id": "order-17.a"}).status_code == 500
    assert "[order-17.a] Internal Server Error: /api/members" in log.getvalue()


def test_an_answer_that_is_logged_after_the_last_middleware(client: Client, log: StringIO) -> None:
    answer = client.get("/api/members")
    assert f"[{answer['X-Request-Id']}] Unauthorized: /api/members" in log.getvalue()


@pytest.mark.parametrize("given", ["", "a b", "a\nb", "x" * 129, "<b>", "é", "a]"])
def test_what_a_client_calls_it_is_in_no_log_unless_it_is_harmless(
    client: Client, log: StringIO, given: str
) -> None:
    answer = client.get("/no/such/page", headers={"X-Request-Id": given})
    assert re.fullmatch(r"[0-9a-f-]{36}", answer["X-Request-Id"])
    assert f"[{answer['X-Request-Id']}] Not Found" in log.getvalue()
    assert not given or given not in log.getvalue()


def test_between_requests_nothing_is_named(client: Client, log: StringIO) -> None:
    client.get("/no/such/page")
    logging.getLogger("accounts").warning("By itself.")
    assert " accounts By itself." in log.getvalue()
