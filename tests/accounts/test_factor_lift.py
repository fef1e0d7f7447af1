"""Staff take a lost second factor off: the person is told, can stop it by one link, and a day later it is done."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts import lifting
from accounts.models import AuditEntry, FactorLift, Notice, User
from accounts.tasks import lift_factor, sweep_factor_lifts
from tests.accounts.owed import sent_now
from tests.codes import code_now
from tests.conftest import PASSWORD, TOTP_SECRET

ADD = "/admin/accounts/factorlift/add/"
As = Callable[[User], Client]


@pytest.fixture
def alice(alice: User) -> User:
    TOTP.activate(alice, TOTP_SECRET)
    return alice


@pytest.fixture
def lift(alice: User, sam: User) -> FactorLift:
    return lifting.ask_lift(alice, reason="Rang from the known number; phone stolen", by=sam)


@pytest.fixture(autouse=True)
def hints_arrive_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lift_factor, "apply_async", lambda args, expires: lift_factor(*args))


def a_day_later() -> None:
    """Since the mail went out."""
    sent_now()
    FactorLift.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    Notice.objects.filter(kind="factor_lift.ask").update(sent_at=timezone.now() - timedelta(hours=24))


def link() -> str:
    (message,) = sent_now()
    return re.search(re.escape(settings.PANEL_URL) + r"(/accounts/second-factor/\S+/)", message.body)[1]


def has_factor(user: User) -> bool:
    return Authenticator.objects.filter(user=user).exists()


def test_staff_ask_on_the_person_and_a_day_later_it_is_done(as_: As, alice: User, sam: User) -> None:
    client = as_(sam)
    page = client.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert f"{ADD}?user={alice.pk}" in page
    assert client.post(ADD, {"user": alice.pk, "reason": "Phone stolen"}).status_code == 302
    sweep_factor_lifts()
    assert has_factor(alice)
    a_day_later()
    sweep_factor_lifts()
    assert not has_factor(alice)
    asked, done = AuditEntry.objects.filter(action__startswith="factor_lift").order_by("at")
    assert (asked.action, asked.by, asked.after) == ("factor_lift.ask", sam, {"reason": "Phone stolen"})
    assert (done.action, done.by) == ("factor_lift.carry_out", None)


def test_the_delay_is_a_day(lift: FactorLift) -> None:
    assert lift.due_at - lift.at >= timedelta(hours=24) - timedelta(seconds=5)
    assert not lifting.carry_out(str(lift.pk))


def test_it_waits_for_the_mail_and_a_day_from_then(lift: FactorLift, alice: User) -> None:
    FactorLift.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert lifting.due_lifts() == []
    assert not lifting.carry_out(str(lift.pk))
    (message,) = sent_now()  # days late: the mail server was away
    lift.refresh_from_db()
    assert lift.due_at > timezone.now() + timedelta(hours=23, minutes=59)
    assert f"{lift.due_at:%H:%M}" in message.body
    FactorLift.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert not lifting.carry_out(str(lift.pk))  # the mail is not a day old
    assert has_factor(alice)


def test_it_is_not_done_while_the_person_may_not_sign_in(lift: FactorLift, alice: User) -> None:
    a_day_later()
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert not lifting.carry_out(str(lift.pk))
    assert has_factor(alice)


@pytest.mark.parametrize("gone", ["is_active", "is_staff", "is_superuser"])
def test_who_asked_must_still_be_who_may(lift: FactorLift, alice: User, sam: User, gone: str) -> None:
    a_day_later()
    alice.is_staff = True  # meanwhile: of hers, a superuser decides
    alice.save()
    User.objects.filter(pk=sam.pk).update(**{gone: False})
    sweep_factor_lifts()
    lift.refresh_from_db()
    assert (has_factor(alice), lift.status) == (True, "stopped")
    assert AuditEntry.objects.get(action="factor_lift.stop").by is None
    (message,) = sent_now()
    assert message.subject == "Your second factor stays"


def test_nobody_is_asked_for_who_cannot_be_told(as_: As, alice: User, sam: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert b"nobody can be told" in as_(sam).post(ADD, {"user": alice.pk, "reason": "x"}).content


def test_only_staff_who_may_ask(as_: As, alice: User, mallory: User, person: Callable[..., User]) -> None:
    assert as_(mallory).get(ADD).status_code == 403
    weak = person("weak@example.test", is_staff=True)
    TOTP.activate(weak, TOTP_SECRET)
    assert as_(weak).post(ADD, {"user": alice.pk, "reason": "x"}).status_code == 403
    assert not FactorLift.objects.exists()


def test_that_of_staff_takes_a_superuser_and_ones_own_somebody_else(
    as_: As, alice: User, sam: User, person: Callable[..., User]
) -> None:
    helper = person("helper@example.test", is_staff=True)
    TOTP.activate(helper, TOTP_SECRET)
    helper.user_permissions.set(Permission.objects.filter(codename__in=["add_factorlift", "view_factorlift"]))
    for who, whose in ((helper, sam), (helper, helper), (sam, sam)):
        answer = as_(who).post(ADD, {"user": whose.pk, "reason": "x"})
        assert answer.status_code == 200
        assert b"errorlist" in answer.content
    assert not FactorLift.objects.exists()
    assert as_(helper).post(ADD, {"user": alice.pk, "reason": "x"}).status_code == 302


def test_there_must_be_something_to_lose(as_: As, sam: User, bob: User) -> None:
    assert b"has no second factor" in as_(sam).post(ADD, {"user": bob.pk, "reason": "x"}).content


@pytest.mark.parametrize("reason", ["", "a\nBcc: x@example.test", "a\0b", "x" * 501])
def test_a_hostile_reason_is_refused(as_: As, alice: User, sam: User, reason: str) -> None:
    assert b"errorlist" in as_(sam).post(ADD, {"user": alice.pk, "reason": reason}).content
    assert not FactorLift.objects.exists()


def test_twice_is_harmless(lift: FactorLift, alice: User, sam: User) -> None:
    assert lifting.ask_lift(alice, reason="again", by=sam) == lift
    a_day_later()
    assert lifting.carry_out(str(lift.pk))
    TOTP.activate(alice, TOTP_SECRET)
    assert not lifting.carry_out(str(lift.pk))
    assert has_factor(alice)


def test_the_person_stops_it_by_the_link_without_signing_in(lift: FactorLift, alice: User) -> None:
    path, client = link(), Client()
    assert b'data-status="pending"' in client.get(path).content
    assert lifting.pending_lift(alice)  # looking at it changes nothing: mail filters look too
    assert client.post(path)["Location"] == path
    assert b'data-status="stopped"' in client.get(path).content
    (message,) = sent_now()
    a_day_later()
    sweep_factor_lifts()
    assert has_factor(alice)
    client.post(path)  # twice is harmless
    assert AuditEntry.objects.filter(action="factor_lift.stop").count() == 1
    assert message.subject == "Your second factor stays"


def test_the_person_stops_it_while_signed_in(as_: As, lift: FactorLift, alice: User) -> None:
    client = as_(alice)
    page = client.get("/accounts/2fa/").content.decode()
    path = re.search(r'href="(/accounts/second-factor/[^"]+)"', page)[1]
    client.post(path)
    assert not lifting.pending_lift(alice)


def test_whoever_signs_in_meanwhile_is_told(lift: FactorLift, alice: User) -> None:
    client = Client()
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    client.post("/accounts/2fa/authenticate/", {"code": code_now()})
    assert "your second factor is lost" in client.get("/accounts/home/").content.decode()


def test_staff_stop_it_too(as_: As, lift: FactorLift, alice: User, sam: User) -> None:
    form = {"action": "stop", "_selected_action": [str(lift.pk)], "reason": "Wrong person"}
    as_(sam).post("/admin/accounts/factorlift/", form)
    assert not lifting.pending_lift(alice)
    assert AuditEntry.objects.get(action="factor_lift.stop").by == sam


def test_what_is_done_is_not_stopped(lift: FactorLift, alice: User) -> None:
    path = link()
    a_day_later()
    sweep_factor_lifts()
    client = Client()
    client.post(path)
    assert b'data-status="done"' in client.get(path).content
    assert not has_factor(alice)


def test_it_ends_all_sessions_and_is_told(as_: As, lift: FactorLift, alice: User) -> None:
    client = as_(alice)
    sent_now()
    a_day_later()
    sweep_factor_lifts()
    assert client.get("/accounts/home/").status_code == 302
    (message,) = sent_now()
    assert (message.to, message.subject) == ([alice.email], "Your second factor is off")


def test_the_mail_says_when_why_and_how_to_stop_it(lift: FactorLift, alice: User) -> None:
    (message,) = sent_now()
    assert message.to == [alice.email]
    assert f"{lift.due_at:%B %Y}" in message.body
    assert "Rang from the known number" in message.body
    assert settings.PANEL_URL + lifting.lift_path(lift) in message.body


def test_all_that_are_due_are_found(lift: FactorLift, bob: User, sam: User) -> None:
    TOTP.activate(bob, TOTP_SECRET)
    lifting.ask_lift(bob, reason="x", by=sam)
    a_day_later()
    assert len(lifting.due_lifts()) == 2
    sweep_factor_lifts()
    assert lifting.due_lifts() == []


@pytest.mark.parametrize("token", ["x", "..", "a:b:c", "%00", "x" * 3000])
def test_a_forged_link_leads_nowhere(client: Client, lift: FactorLift, token: str) -> None:
    assert client.get(f"/accounts/second-factor/{token}/").status_code in (400, 404)
    assert client.post(f"/accounts/second-factor/{token}/").status_code in (400, 404)
    assert lifting.pending_lift(lift.user)
