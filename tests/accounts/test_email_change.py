"""Another address to sign in with: both ends say yes by a link, either can leave it, the old one can stop it."""

import re
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts import email_changing, privacy
from accounts.models import AuditEntry, EmailChange, User
from foundation.unit_of_work import unit_of_work
from tests.accounts.owed import sent_now
from tests.conftest import PASSWORD

PAGE, ASK, STOP = "/accounts/email/", "/accounts/email/change/", "/accounts/email/stop/"
OLD, NEW = "alice@example.test", "alice@new.test"
As = Callable[[User], Client]


def ask(client: Client, new: str = NEW) -> dict[str, str]:
    """The links that went out, by the address they went to."""
    answer = client.post(ASK, {"email": new})
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    link = re.escape(settings.PANEL_URL) + r"(/accounts/email/change/\S+/)"
    return {message.to[0]: found[1] for message in sent_now() if (found := re.search(link, message.body))}


def address_of(user: User) -> str:
    return User.objects.get(pk=user.pk).email


@pytest.mark.parametrize("order", [(OLD, NEW), (NEW, OLD)])
def test_it_is_made_once_both_have_said_yes(as_: As, alice: User, order: tuple[str, str]) -> None:
    links = ask(as_(alice))
    first, second = (links[each] for each in order)
    Client().post(first, {"answer": "confirm"})
    assert address_of(alice) == OLD
    Client().post(second, {"answer": "confirm"})
    assert address_of(alice) == NEW
    address = EmailAddress.objects.get(user=alice)
    assert (address.email, address.verified, address.primary) == (NEW, True, True)
    client = Client()
    client.post("/accounts/login/", {"login": NEW, "password": PASSWORD})
    assert client.get("/accounts/home/").status_code == 200


def test_the_old_address_is_told_and_other_sessions_end(as_: As, alice: User) -> None:
    here, there = as_(alice), as_(alice)
    links = ask(here)
    here.post(links[OLD], {"answer": "confirm"})
    here.post(links[NEW], {"answer": "confirm"})
    (message,) = sent_now()
    assert (message.to, message.subject) == ([OLD], "Your address was changed")
    assert NEW in message.body
    assert here.get("/accounts/home/").status_code == 200
    assert there.get("/accounts/home/").status_code == 302
    entry = AuditEntry.objects.get(action="email.change")
    assert (entry.by, entry.subject, entry.after["new"]) == (alice, OLD, NEW)


def test_elsewhere_the_last_yes_ends_every_session(as_: As, alice: User, mallory: User) -> None:
    here = as_(alice)
    for link in ask(here).values():
        as_(mallory).post(link, {"answer": "confirm"})
    assert address_of(alice) == NEW
    assert here.get("/accounts/home/").status_code == 302


def test_one_yes_is_not_two(as_: As, alice: User) -> None:
    links = ask(as_(alice))
    for _ in range(3):
        Client().post(links[NEW], {"answer": "confirm"})
    assert address_of(alice) == OLD


def test_looking_at_a_link_says_nothing(as_: As, alice: User) -> None:
    for link in ask(as_(alice)).values():
        assert b'data-status="pending"' in Client().get(link).content
    assert not EmailChange.objects.exclude(old_confirmed_at=None, new_confirmed_at=None).exists()


def test_the_old_address_stops_it_and_the_new_one_cannot(as_: As, alice: User) -> None:
    links = ask(as_(alice))
    Client().post(links[NEW], {"answer": "stop"})
    assert EmailChange.objects.get().status == "pending"
    Client().post(links[OLD], {"answer": "stop"})
    assert EmailChange.objects.get().status == "stopped"
    Client().post(links[OLD], {"answer": "confirm"})
    assert address_of(alice) == OLD
    assert AuditEntry.objects.filter(action="email.stop_change").count() == 1


def test_it_is_stopped_while_signed_in(as_: As, alice: User, mallory: User) -> None:
    client = as_(alice)
    ask(client)
    assert NEW in client.get(PAGE).content.decode()
    assert NEW not in as_(mallory).get(PAGE).content.decode()
    as_(mallory).post(STOP)
    assert EmailChange.objects.get().status == "pending"
    client.post(STOP)
    client.post(STOP)  # twice is harmless
    assert EmailChange.objects.get().status == "stopped"


def test_asking_anew_makes_earlier_links_worthless(as_: As, alice: User) -> None:
    client = as_(alice)
    first = ask(client, "alice@typo.test")
    second = ask(client)
    for link in (*first.values(), second[OLD]):
        Client().post(link, {"answer": "confirm"})
    assert address_of(alice) == OLD
    Client().post(second[NEW], {"answer": "confirm"})
    assert address_of(alice) == NEW


def test_links_end_after_three_days(as_: As, alice: User) -> None:
    links = ask(as_(alice))
    EmailChange.objects.update(at=timezone.now() - timedelta(days=3, seconds=1))
    for link in links.values():
        Client().post(link, {"answer": "confirm"})
        assert b'data-status="expired"' in Client().get(link).content
    assert address_of(alice) == OLD


def test_an_address_of_somebody_else_gives_the_same_answer_and_is_told_there_alone(
    as_: As, alice: User, bob: User
) -> None:
    client = as_(alice)
    taken = client.post(ASK, {"email": "BOB@example.test"})
    page = client.get(PAGE).content.decode()
    links = {message.to[0]: message for message in sent_now()}
    assert "has an account" in links[bob.email].subject
    assert ASK not in links[bob.email].body
    free = client.post(ASK, {"email": "free@example.test"})
    assert (taken.status_code, taken["Location"]) == (free.status_code, free["Location"])
    assert (
        page.replace("bob@", "free@").split("<main")[1].split("csrf")[0]
        == (client.get(PAGE).content.decode().split("<main")[1].split("csrf")[0])
    )


def test_an_address_that_became_somebody_elses_meanwhile_is_left_to_them(
    as_: As, alice: User, person: Callable[..., User]
) -> None:
    links = ask(as_(alice))
    Client().post(links[OLD], {"answer": "confirm"})
    person(NEW)
    Client().post(links[NEW], {"answer": "confirm"})
    assert address_of(alice) == OLD
    assert EmailChange.objects.get().status == "stopped"
    assert b"the address of another account" in Client().get(links[NEW]).content


def test_it_asks_again_after_fifteen_minutes_and_leads_back_to_the_form(
    as_: As, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_(alice)
    later = time.time() + 15 * 60 + 1
    monkeypatch.setattr("accounts.adapter.time.time", lambda: later)
    answer = client.post(ASK, {"email": NEW})
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert not EmailChange.objects.exists()
    assert client.post(answer["Location"], {"password": PASSWORD})["Location"] == "/accounts/email/"
    assert not EmailChange.objects.exists()
    client.post(ASK, {"email": NEW})
    assert EmailChange.objects.get().new == NEW


@pytest.mark.parametrize(
    "new", ["", "x", OLD, "ALICE@example.test", "a@b\nBcc: x@y.test", "a\0@b.test", "x" * 250 + "@b.test"]
)
def test_a_wrong_address_is_refused(as_: As, alice: User, new: str) -> None:
    answer = as_(alice).post(ASK, {"email": new})
    assert answer.status_code == 422
    assert b"id_email_error" in answer.content
    assert not EmailChange.objects.exists()


def test_it_is_not_asked_for_without_end_within_a_minute(as_: As, alice: User) -> None:
    cache.clear()
    client = as_(alice)
    answers = [client.post(ASK, {"email": "x"}).status_code for _ in range(21)]
    assert answers == [422] * 20 + [429]
    cache.clear()


def test_nobody_sends_mails_without_end(as_: As, alice: User) -> None:
    client = as_(alice)
    for number in range(email_changing.A_DAY):
        ask(client, f"a{number}@new.test")
    assert client.post(ASK, {"email": NEW}).status_code == 422


@pytest.mark.parametrize("token", ["x", "a:b:c", "x" * 3000])
def test_a_forged_link_leads_nowhere(client: Client, alice: User, token: str) -> None:
    email_changing.ask_change(alice, NEW)
    assert client.get(f"{ASK}{token}/").status_code == 404
    assert client.post(f"{ASK}{token}/", {"answer": "confirm"}).status_code == 404


def test_links_name_the_configured_host(as_: As, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", ["*"])
    as_(alice).post(ASK, {"email": NEW}, headers={"Host": "evil.test"})
    assert all("evil.test" not in message.body for message in sent_now())


def test_the_addresses_go_with_the_person(as_: As, alice: User) -> None:
    for link in ask(as_(alice)).values():
        Client().post(link, {"answer": "confirm"})
    alice.refresh_from_db()
    with unit_of_work():
        privacy.erase_person(alice)
    entries = AuditEntry.objects.filter(by=alice, action__startswith="email.")
    assert entries.count() == 2
    assert not any(text in f"{entry.subject} {entry.after}" for entry in entries for text in (OLD, NEW))
    assert not EmailChange.objects.exists()
