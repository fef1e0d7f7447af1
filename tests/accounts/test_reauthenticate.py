"""Nobody is asked for the password again within 15 minutes of signing in; later, before grave acts, yes."""

import time

import pytest
from django.test import Client

from accounts.models import User
from tests.conftest import PASSWORD

SENSITIVE = "/accounts/2fa/totp/activate/"


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    return client


def test_is_not_asked_for_just_after_signing_in(signed_in: Client) -> None:
    assert signed_in.get(SENSITIVE).status_code == 200


def test_is_asked_for_after_fifteen_minutes(signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() + 15 * 60 + 1
    monkeypatch.setattr("accounts.adapter.time.time", lambda: later)
    answer = signed_in.get(SENSITIVE)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/reauthenticate/")


def test_of_another_person_does_not_count(signed_in: Client, bob: User) -> None:
    signed_in.force_login(bob, "allauth.account.auth_backends.AuthenticationBackend")
    assert signed_in.get(SENSITIVE).status_code == 302
