"""Nobody is asked for the password again within 15 minutes of signing in; later, before grave acts, yes."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.core import context
from allauth.core.exceptions import ReauthenticationRequired
from django.http import HttpResponse
from django.test import Client, RequestFactory

from accounts.access import asks_again
from accounts.models import User
from tests.codes import code_now
from tests.conftest import PASSWORD

SENSITIVE = "/accounts/2fa/totp/activate/"
CODES = "/accounts/2fa/recovery-codes/generate/"
LATER = 15 * 60 + 1


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    return client


def test_is_not_asked_for_just_after_signing_in(signed_in: Client) -> None:
    assert signed_in.get(SENSITIVE).status_code == 200


@pytest.mark.parametrize(
    "path", [SENSITIVE, "/accounts/2fa/webauthn/add/", CODES, "/accounts/password/change/"]
)
def test_is_asked_for_after_fifteen_minutes(
    signed_in: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    later = time.time() + LATER
    monkeypatch.setattr("accounts.adapter.time.time", lambda: later)
    answer = signed_in.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/reauthenticate/")


def test_of_another_person_does_not_count(signed_in: Client, bob: User) -> None:
    signed_in.force_login(bob, "allauth.account.auth_backends.AuthenticationBackend")
    assert signed_in.get(SENSITIVE).status_code == 302


def test_whoever_has_a_factor_is_asked_for_that_and_never_for_the_password(
    as_: Callable[[User], Client], sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_(sam)
    assert client.get(CODES).status_code == 200
    later = time.time() + LATER
    monkeypatch.setattr("accounts.adapter.time.time", lambda: later)
    answer = client.get(CODES)
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/accounts/2fa/reauthenticate/")
    by_password = client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert by_password["Location"].startswith("/accounts/2fa/reauthenticate/")
    assert client.get(CODES).status_code == 302
    monkeypatch.undo()
    asked = client.post(answer["Location"], {"code": code_now()})
    assert (asked.status_code, asked["Location"]) == (302, CODES)
    assert client.get(CODES).status_code == 200


def test_a_password_alone_does_not_stand_in_for_the_factor(as_: Callable[[User], Client], sam: User) -> None:
    client = as_(sam)
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
    session.save()
    assert client.get(CODES).status_code == 302


def test_the_decorator_holds_a_view_up(
    as_: Callable[[User], Client], alice: User, rf: RequestFactory
) -> None:
    @asks_again
    def page(request: Any) -> HttpResponse:
        return HttpResponse("done")

    request = rf.post("/")
    request.user, request.session = alice, as_(alice).session
    with context.request_context(request):
        assert page(request).content == b"done"
        request.session["account_authentication_methods"] = [
            {"method": "password", "at": time.time() - LATER}
        ]
        with pytest.raises(ReauthenticationRequired):
            page(request)
