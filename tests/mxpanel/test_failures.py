"""What people see of a database that is away: a plain 503 that says what to do."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client

from billing.models import Plan


@pytest.fixture
def client() -> Client:
    """One that gets the page which a browser would get."""
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_without_a_database_pages_say_what_to_do(
    client: Client, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plan.objects, "filter", raising(error("connection to MARKER failed")))
    answer = client.get("/plans/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert b"wait some seconds" in answer.content
    assert b"MARKER" not in answer.content


def test_a_mistake_of_ours_stays_a_500(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plan.objects, "filter", raising(ValueError("MARKER")))
    answer = client.get("/plans/")
    assert answer.status_code == 500
    assert b"MARKER" not in answer.content


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail
