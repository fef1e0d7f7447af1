"""A forgotten password: a link sets another one, ends every session, and leaves the second factor as it is."""

import re
from collections.abc import Callable

from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings
from django.core import mail
from django.test import Client

from accounts.models import AuditEntry, User
from tests.accounts.owed import sent_now
from tests.codes import code_now
from tests.conftest import PASSWORD, TOTP_SECRET

NEW = "another-password-8462"


def reset(user: User) -> Client:
    client = Client()
    client.post("/accounts/password/reset/", {"email": user.email})
    link = re.escape(settings.PANEL_URL) + r"(/accounts/password/reset/key/\S+/)"
    path = client.get(re.search(link, mail.outbox[-1].body)[1])["Location"]
    assert client.post(path, {"password1": NEW, "password2": NEW}).status_code == 302
    return client


def test_it_keeps_the_second_factor_and_still_asks_for_it(alice: User) -> None:
    TOTP.activate(alice, TOTP_SECRET)
    client = reset(alice)
    assert client.get("/accounts/home/").status_code == 302
    answer = client.post("/accounts/login/", {"login": alice.email, "password": NEW})
    assert answer["Location"] == "/accounts/2fa/authenticate/"
    assert client.get("/accounts/home/").status_code == 302
    client.post("/accounts/2fa/authenticate/", {"code": code_now()})
    assert client.get("/accounts/home/").status_code == 200


def test_every_session_ends_and_the_person_is_told(as_: Callable[[User], Client], alice: User) -> None:
    there = as_(alice)
    reset(alice)
    assert there.get("/accounts/home/").status_code == 302
    (message,) = sent_now()
    assert (message.to, message.subject) == ([alice.email], "Your password was reset")
    assert AuditEntry.objects.get(action="password.reset").by == alice


def test_the_old_password_is_worth_nothing(alice: User) -> None:
    reset(alice)
    client = Client()
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert client.get("/accounts/home/").status_code == 302
