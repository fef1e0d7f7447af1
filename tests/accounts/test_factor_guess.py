"""Wrong codes of a second factor are bounded for each person and day, and told once; the limit slides away."""

import time
from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.test import Client

from accounts import guessing
from accounts.models import AuditEntry, User
from tests.accounts.owed import sent_now
from tests.codes import code_now
from tests.conftest import PASSWORD

ENTER = "/accounts/2fa/authenticate/"
AGAIN = "/accounts/2fa/reauthenticate/"
WRONG = "000000"
As = Callable[[User], Client]


@pytest.fixture(autouse=True)
def few(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr(guessing, "A_DAY", 4)


def at_the_code(user: User) -> Client:
    client = Client(REMOTE_ADDR="192.0.2.7")
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def guess(client: Client, code: str = WRONG, path: str = ENTER) -> str:
    return client.post(path, {"code": code}).content.decode()


def test_it_is_said_told_once_and_written_down(sam: User) -> None:
    client = at_the_code(sam)
    for _ in range(4):
        assert "is not right" in guess(client)
    for _ in range(3):
        assert "Too many wrong codes" in guess(client)
    (message,) = sent_now()
    assert (message.to, message.subject) == ([sam.email], "Wrong codes for your account")
    assert "4 wrong codes" in message.body
    assert "192.0.2.7" in message.body
    entry = AuditEntry.objects.get(action="factors.guess")
    assert (entry.by, entry.subject, entry.after) == (None, sam.email, {"wrong_codes": 4})


def test_then_the_right_one_is_not_taken_either_until_a_day_is_over(
    sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = at_the_code(sam)
    for _ in range(5):
        guess(client)
    assert "Too many wrong codes" in guess(client, code_now())
    later = time.time() + guessing.DAY + 1
    monkeypatch.setattr("allauth.core.internal.ratelimit.time.time", lambda: later)
    assert client.post(ENTER, {"code": code_now()}).status_code == 302


def test_it_counts_over_sign_ins_and_when_asked_again(as_: As, sam: User) -> None:
    guess(at_the_code(sam))
    guess(at_the_code(sam))
    client = as_(sam)
    guess(client, path=AGAIN)
    guess(client, path=AGAIN)
    assert "Too many wrong codes" in guess(client, code_now(), AGAIN)
    assert "Too many wrong codes" in guess(at_the_code(sam))


def test_right_ones_do_not_count_and_wipe_nothing_out(sam: User) -> None:
    for _ in range(3):
        guess(at_the_code(sam))
    assert at_the_code(sam).post(ENTER, {"code": code_now()}).status_code == 302
    assert "is not right" in guess(at_the_code(sam))
    assert "Too many wrong codes" in guess(at_the_code(sam))


def test_other_people_are_not_concerned(sam: User, alice: User) -> None:
    from allauth.mfa.totp.internal.auth import TOTP

    from tests.conftest import TOTP_SECRET

    TOTP.activate(alice, TOTP_SECRET)
    for _ in range(5):
        guess(at_the_code(sam))
    assert at_the_code(alice).post(ENTER, {"code": code_now()}).status_code == 302


def test_the_real_limit_is_below_any_luck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert guessing.A_DAY * 3 * 365 / 1_000_000 < 0.06  # a year of guessing, three codes at a time


@pytest.mark.parametrize("code", ["", "x" * 100_000, "1\0", "٣٣٣٣٣٣"])
def test_hostile_codes_are_just_wrong(sam: User, code: str) -> None:
    answer = at_the_code(sam).post(ENTER, {"code": code})
    assert answer.status_code in (200, 400)
