"""A person sees where they are signed in, and ends one session or all others."""

import time

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.browsers import browser_in_words
from accounts.models import AuditEntry, User
from accounts.tasks import sweep_sessions
from tests.accounts.owed import sent_now
from tests.conftest import PASSWORD

LIST, END = "/accounts/sessions/", "/accounts/sessions/end/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/19.0 Mobile/15E148 Safari/604.1"
)


def sign_in(user: User, agent: str = FIREFOX, address: str = "192.0.2.7") -> Client:
    client = Client(headers={"User-Agent": agent}, REMOTE_ADDR=address)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return client.get("/accounts/home/").status_code == 200


def row_of(client: Client) -> UserSession:
    return UserSession.objects.get(session_key=client.session.session_key)


def test_the_list_says_where(alice: User, bob: User) -> None:
    here = sign_in(alice)
    sign_in(alice, SAFARI, "2001:db8::7")
    sign_in(bob, address="198.51.100.9")
    page = here.get(LIST).content.decode()
    assert "Firefox on Linux" in page
    assert "192.0.2.7" in page
    assert "Safari on an iPhone" in page
    assert "2001:db8::7" in page
    assert "198.51.100.9" not in page


def test_one_is_ended(alice: User) -> None:
    here, there, third = sign_in(alice), sign_in(alice), sign_in(alice)
    assert here.post(END, {"which": row_of(there).pk})["Location"] == LIST
    assert (is_in(here), is_in(there), is_in(third)) == (True, False, True)
    assert AuditEntry.objects.get(action="session.end").by == alice


def test_all_others_are_ended(alice: User, bob: User) -> None:
    here, there, third, foreign = sign_in(alice), sign_in(alice), sign_in(alice), sign_in(bob)
    here.post(END)
    assert (is_in(here), is_in(there), is_in(third), is_in(foreign)) == (True, False, False, True)
    here.post(END)  # twice is harmless
    assert AuditEntry.objects.filter(action="session.end").count() == 1


def test_that_of_somebody_else_does_not_exist(alice: User, mallory: User) -> None:
    here, foreign = sign_in(alice), sign_in(mallory)
    assert foreign.post(END, {"which": row_of(here).pk}).status_code == 404
    assert is_in(here)


@pytest.mark.parametrize("which", ["x", "-1", "1.5", "9" * 40, "a\0b", "../1"])
def test_a_hostile_id_is_just_unknown(alice: User, which: str) -> None:
    assert sign_in(alice).post(END, {"which": which}).status_code == 404


def test_it_asks_again_after_fifteen_minutes_and_leads_back_to_the_list(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = sign_in(alice), sign_in(alice)
    later = time.time() + 15 * 60 + 1
    monkeypatch.setattr("accounts.adapter.time.time", lambda: later)
    answer = here.post(END)
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert is_in(there)
    assert b"nothing was done yet" in here.get(answer["Location"]).content
    assert here.post(answer["Location"], {"password": PASSWORD})["Location"] == LIST
    assert is_in(there)
    here.post(END)
    assert not is_in(there)


def test_a_new_password_ends_the_others_and_is_told(alice: User) -> None:
    here, there = sign_in(alice), sign_in(alice)
    new = {"oldpassword": PASSWORD, "password1": "another-one-8462", "password2": "another-one-8462"}
    assert here.post("/accounts/password/change/", new).status_code == 302
    assert is_in(here)
    assert not Session.objects.filter(session_key=there.session.session_key).exists()
    (message,) = sent_now()
    assert (message.to, message.subject) == (["alice@example.test"], "Your password was changed")
    assert "192.0.2.7" in message.body
    assert "Firefox on Linux" in message.body
    assert "The password of your account was changed." in here.get(LIST).content.decode()


def test_a_failed_change_of_the_password_changes_nothing(alice: User) -> None:
    here, there = sign_in(alice), sign_in(alice)
    wrong = {"oldpassword": "wrong", "password1": "another-one-8462", "password2": "another-one-8462"}
    here.post("/accounts/password/change/", wrong)
    assert is_in(there)
    assert sent_now() == []


def test_the_list_costs_the_same_however_many_there_are(alice: User, django_assert_max_num_queries) -> None:
    here = sign_in(alice)
    now = timezone.now()
    keys = [f"key-{number}" for number in range(120)]
    Session.objects.bulk_create(
        Session(session_key=key, session_data="", expire_date="2999-01-01T00:00Z") for key in keys
    )
    UserSession.objects.bulk_create(
        UserSession(user=alice, session_key=key, ip="192.0.2.1", user_agent=FIREFOX, last_seen_at=now)
        for key in keys
    )
    with django_assert_max_num_queries(8):
        page = here.get(LIST).content.decode()
    assert page.count("192.0.2.1<") == 100


def test_what_is_over_is_swept(alice: User) -> None:
    here = sign_in(alice)
    UserSession.objects.update(created_at="2020-01-01T00:00Z")
    sweep_sessions()
    assert UserSession.objects.count() == 1
    here.post("/accounts/logout/")
    sweep_sessions()
    assert UserSession.objects.count() == 0


def test_a_session_is_seen_again_now_and_then(alice: User) -> None:
    here = sign_in(alice)
    before = row_of(here).last_seen_at
    is_in(here)
    assert row_of(here).last_seen_at == before
    session = here.session
    session["seen_at"] = time.time() - 301
    session.save()
    is_in(here)
    assert row_of(here).last_seen_at > before


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (SAFARI, "Safari on an iPhone"),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140 Safari/537.36 Edg/140",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (Linux; Android 16) Chrome/140 Mobile Safari/537.36", "Chrome on Android"),
        ("<script>alert(1)</script>", "An unknown browser"),
        ("", "An unknown browser"),
    ],
)
def test_browsers_have_names(agent: str, words: str) -> None:
    assert browser_in_words(agent) == words
