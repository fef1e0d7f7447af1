"""A passkey is added, signs its person in, alone or as the second step, and is renamed and removed; with real keys."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from accounts.models import AuditEntry, User
from tests.accounts.owed import sent_now
from tests.accounts.passkeys import Passkey, options_on
from tests.conftest import PASSWORD

ADD = "/accounts/2fa/webauthn/add/"
LOGIN = "/accounts/2fa/webauthn/login/"


def add(client: Client, name: str = "Laptop", **fields: str) -> Passkey:
    passkey = Passkey()
    options = options_on(client.get(ADD).content.decode())["creation_options"]
    credential = json.dumps(passkey.create(options))
    answer = client.post(ADD, {"name": name, "passwordless": "on", "credential": credential, **fields})
    assert answer.status_code == 302, answer.content.decode()
    return passkey


def sign_in(client: Client, passkey: Passkey, origin: str = "http://localhost:8000") -> Any:
    options = client.get(LOGIN, headers={"Accept": "application/json"}).json()["request_options"]
    return client.post(LOGIN, {"credential": json.dumps(passkey.get(options, origin))})


def test_it_is_all_that_signing_in_takes(as_: Callable[[User], Client], alice: User) -> None:
    passkey = add(as_(alice))
    client = Client()
    answer = sign_in(client, passkey)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/home/")
    assert client.get("/accounts/home/").status_code == 200


def test_it_is_the_second_step_after_the_password(as_: Callable[[User], Client], alice: User) -> None:
    passkey = add(as_(alice))
    client = Client()
    answer = client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert answer["Location"] == "/accounts/2fa/authenticate/"
    assert client.get("/accounts/home/").status_code == 302
    page = client.get("/accounts/2fa/authenticate/").content.decode()
    credential = json.dumps(passkey.get(options_on(page)["request_options"]))
    client.post("/accounts/2fa/authenticate/", {"credential": credential})
    assert client.get("/accounts/home/").status_code == 200


def test_it_opens_the_staff_pages(as_: Callable[[User], Client], person: Callable[..., User]) -> None:
    kim = person("kim@example.test", is_staff=True, is_superuser=True)
    client = as_(kim)
    assert client.get("/admin/")["Location"] == "/accounts/2fa/"
    passkey = add(client)
    assert client.get("/admin/").status_code == 200  # setting it up has shown it
    client = Client()
    sign_in(client, passkey)
    assert client.get("/admin/").status_code == 200


def test_recovery_codes_come_with_the_first(as_: Callable[[User], Client], alice: User) -> None:
    client = as_(alice)
    add(client)
    assert Authenticator.objects.filter(user=alice, type="recovery_codes").exists()
    assert b"Your recovery codes" in client.get("/accounts/2fa/recovery-codes/").content


def test_it_is_audited_told_and_ends_the_other_sessions(as_: Callable[[User], Client], alice: User) -> None:
    other, client = as_(alice), as_(alice)
    add(client, "Laptop")
    entry = AuditEntry.objects.get(action="factors.change")
    assert (entry.by, entry.after["change"]) == (alice, "passkey “Laptop” added, recovery codes added")
    (message,) = sent_now()
    assert message.to == ["alice@example.test"]
    assert "passkey “Laptop” added" in message.body
    assert client.get("/accounts/home/").status_code == 200
    assert other.get("/accounts/home/").status_code == 302


def test_a_foreign_origin_or_key_signs_nobody_in(as_: Callable[[User], Client], alice: User) -> None:
    passkey = add(as_(alice))
    client = Client()
    assert sign_in(client, passkey, "https://evil.test")["Location"] == "/accounts/login/"
    forged = Passkey()
    forged.id, forged.handle = passkey.id, passkey.handle
    assert sign_in(client, forged)["Location"] == "/accounts/login/"
    assert client.get("/accounts/home/").status_code == 302


def test_an_answer_works_once(as_: Callable[[User], Client], alice: User) -> None:
    passkey = add(as_(alice))
    client = Client()
    options = client.get(LOGIN, headers={"Accept": "application/json"}).json()["request_options"]
    credential = json.dumps(passkey.get(options))
    client.post(LOGIN, {"credential": credential})
    client.post("/accounts/logout/")
    client.post(LOGIN, {"credential": credential})
    assert client.get("/accounts/home/").status_code == 302


@pytest.mark.parametrize("name", ["x" * 61, "a\nb", "a\0b"])
def test_a_hostile_name_is_refused(as_: Callable[[User], Client], alice: User, name: str) -> None:
    client = as_(alice)
    options = options_on(client.get(ADD).content.decode())["creation_options"]
    answer = client.post(ADD, {"name": name, "credential": json.dumps(Passkey().create(options))})
    assert b"id_name_error" in answer.content
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize(
    "credential", ["", "{}", "[]", "null", '{"response": {"userHandle": "AA"}}', "x" * 500]
)
def test_a_hostile_credential_is_refused(
    client: Client, as_: Callable[[User], Client], alice: User, credential: str
) -> None:
    assert as_(alice).post(ADD, {"name": "x", "credential": credential}).status_code == 200
    client.get(LOGIN, headers={"Accept": "application/json"})
    assert client.post(LOGIN, {"credential": credential})["Location"] == "/accounts/login/"
    assert not Authenticator.objects.exists()


def test_it_is_renamed_and_removed_by_its_person_alone(
    as_: Callable[[User], Client], alice: User, mallory: User
) -> None:
    client, stranger = as_(alice), as_(mallory)
    add(client)
    one = Authenticator.objects.get(user=alice, type="webauthn")
    for verb in ("edit", "remove"):
        assert (
            stranger.post(f"/accounts/2fa/webauthn/keys/{one.pk}/{verb}/", {"name": "x"}).status_code == 404
        )
    client.post(f"/accounts/2fa/webauthn/keys/{one.pk}/edit/", {"name": "Key on my ring"})
    assert "Key on my ring" in client.get("/accounts/2fa/").content.decode()
    renamed = AuditEntry.objects.get(action="factors.rename")
    assert "passkey “Laptop”" in renamed.before["factors"]
    assert "passkey “Key on my ring”" in renamed.after["factors"]
    client.post(f"/accounts/2fa/webauthn/keys/{one.pk}/remove/")
    assert not Authenticator.objects.filter(user=alice).exists()
    assert "removed" in AuditEntry.objects.filter(action="factors.change").first().after["change"]


def test_pages_without_javascript_say_so_in_words(as_: Callable[[User], Client], alice: User) -> None:
    for client, path in ((Client(), "/accounts/login/"), (as_(alice), ADD)):
        page = client.get(path).content.decode()
        assert "<noscript>" in page
        assert "Passkeys need JavaScript" in page
