"""Recovery codes: shown once, fetched as a file, each good once."""

import re
import time
from collections.abc import Callable

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from accounts.models import User
from tests.codes import code_now
from tests.conftest import PASSWORD

CODES = "/accounts/2fa/recovery-codes/"
FILE = "/accounts/2fa/recovery-codes/download/"


@pytest.fixture
def client_with_codes(as_: Callable[[User], Client], sam: User) -> Client:
    client = as_(sam)
    assert client.post(f"{CODES}generate/")["Location"] == CODES
    return client


def shown(client: Client) -> list[str]:
    return re.findall(r"^(?:.*<pre.*>)?(\d{8})$", client.get(CODES).content.decode(), flags=re.M)


def test_they_are_shown_once(client_with_codes: Client) -> None:
    assert len(shown(client_with_codes)) == 10
    assert shown(client_with_codes) == []


def test_they_are_fetched_as_a_file_by_the_browser_that_saw_them(
    client_with_codes: Client, as_: Callable[[User], Client], sam: User
) -> None:
    codes = shown(client_with_codes)
    answer = client_with_codes.get(FILE)
    assert answer["Content-Disposition"] == 'attachment; filename="recovery-codes.txt"'
    assert set(codes) <= set(answer.content.decode().split())
    assert "no-store" in answer["Cache-Control"]
    assert as_(sam).get(FILE).status_code == 403


def test_the_file_is_there_for_ten_minutes(client_with_codes: Client) -> None:
    assert client_with_codes.get(FILE).status_code == 403  # not shown yet
    shown(client_with_codes)
    session = client_with_codes.session
    session["recovery_codes_until"] = time.time() - 1
    session.save()
    assert client_with_codes.get(FILE).status_code == 403


def test_nobody_has_them_without_a_factor(as_: Callable[[User], Client], alice: User) -> None:
    client = as_(alice)
    assert client.get(CODES).status_code == client.get(FILE).status_code == 404
    client.post(f"{CODES}generate/")
    assert not Authenticator.objects.filter(user=alice).exists()


def test_each_signs_in_once(client_with_codes: Client, sam: User) -> None:
    code = shown(client_with_codes)[0]
    assert signs_in(sam, code)
    assert not signs_in(sam, code)


def test_new_ones_replace_the_old(client_with_codes: Client, sam: User) -> None:
    old = shown(client_with_codes)[0]
    client_with_codes.post(f"{CODES}generate/")
    assert not signs_in(sam, old)
    assert signs_in(sam, code_now())


def signs_in(user: User, code: str) -> bool:
    client = Client()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    client.post("/accounts/2fa/authenticate/", {"code": code})
    return client.get("/admin/").status_code == 200
