"""The probes: whom they need, what they say, and that they give nothing away."""

from typing import Any

import pytest
from celery import current_app
from django.test import Client

from domains.models import note_end
from mxpanel import health


@pytest.fixture(autouse=True)
def nothing_known_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_recent", (float("-inf"), {}))


def test_alive_without_a_host_name_or_https(client: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get("/healthz", HTTP_HOST="10.0.0.1")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_a_broker_that_is_away_degrades_and_its_password_stays_secret(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis://:MARKER@127.0.0.1:1/0")
    monkeypatch.setattr(health, "_workers", lambda: None)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["broker"] == "OperationalError"
    assert b"MARKER" not in answer.content


def test_without_a_database_it_is_down(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_workers", lambda: None)
    answer = client.get("/readyz")  # a test without the database may not reach it
    assert (answer.status_code, answer.json()["status"]) == (503, "down")


def test_a_watch_that_is_silent_shows(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for check in ("_workers", "_broker"):
        monkeypatch.setattr(health, check, lambda: None)
    assert client.get("/readyz").json() == {
        "status": "degraded",
        "checks": {"database": "ok", "broker": "ok", "workers": "ok", "watch": "silent"},
    }
    note_end("watch")
    monkeypatch.setattr(health, "_recent", (float("-inf"), {}))
    assert client.get("/readyz").json()["status"] == "ok"
