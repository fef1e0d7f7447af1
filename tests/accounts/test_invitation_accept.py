"""Who was invited becomes a member: with the address that was invited, once, within seven days."""

import re
from datetime import timedelta
from urllib.parse import unquote

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Invitation, Role
from tests.accounts.conftest import link_in
from tests.accounts.test_sign_up import STRONG, confirmation_path


@pytest.fixture
def invitation(acme, alice, mallory):
    return acme.invite_member("mallory@example.test", Role.BILLING, by=alice)


@pytest.fixture
def path(invitation, delivered):
    (message,) = delivered()
    return link_in(message, "/invitations/")


def test_it_works(as_, acme, mallory, path, delivered):
    client = as_(mallory)
    page = client.get(path).content.decode()
    assert 'data-status="invited"' in page
    assert not acme.memberships.filter(user=mallory).exists()
    assert client.post(f"{path}accept/").url == "/c/acme/"
    assert acme.memberships.get(user=mallory).role == "billing"
    entry = AuditEntry.objects.filter(action="member.add").latest("at")
    assert (entry.by, entry.customer, entry.after) == (mallory, acme, {"role": "billing"})
    (told,) = delivered()
    assert told.to == ["alice@example.test"]
    assert "mallory@example.test has joined" in told.subject


def test_others_with_the_link_get_nothing(as_, acme, path, sam, invitation):
    for client in (as_(sam), as_(acme.members.get(email="bob@example.test"))):
        assert "This invitation is for mallory@example.test" in client.get(path).content.decode()
        assert client.post(f"{path}accept/").status_code == 403
    assert Client().post(f"{path}accept/").url.startswith("/accounts/login/")
    invitation.refresh_from_db()
    assert invitation.status == "invited"


def test_an_address_that_is_not_confirmed_does_not_count(as_, acme, sam, alice):
    sam.emailaddress_set.create(email="sam.too@example.test", verified=False)
    invitation = acme.invite_member("sam.too@example.test", Role.READER, by=alice)
    client, accept = as_(sam), f"/invitations/{invitation.secret}/accept/"
    assert client.post(accept).status_code == 403
    sam.emailaddress_set.filter(email="sam.too@example.test").update(verified=True)
    assert client.post(accept).status_code == 302


def test_twice_is_harmless_and_it_works_once(as_, acme, mallory, alice, path):
    client = as_(mallory)
    assert client.post(f"{path}accept/").url == client.post(f"{path}accept/").url == "/c/acme/"
    assert AuditEntry.objects.filter(action="member.add", by=mallory).count() == 1
    acme.memberships.get(user=mallory).remove(by=alice)
    assert client.post(f"{path}accept/").status_code == 422
    assert not acme.memberships.filter(user=mallory).exists()


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "expired"),
        ({"revoked_at": timezone.now()}, "revoked"),
    ],
)
def test_what_is_over_does_nothing(as_, acme, mallory, path, what, status):
    Invitation.objects.update(**what)
    client = as_(mallory)
    assert f'data-status="{status}"' in client.get(path).content.decode()
    assert client.post(f"{path}accept/").status_code == 422
    assert not acme.memberships.filter(user=mallory).exists()


def test_it_dies_with_the_right_of_who_sent_it(as_, acme, alice, dave, mallory):
    invitation = acme.invite_member("mallory@example.test", Role.READER, by=dave)
    dave.is_active = False  # by staff, who touch nothing else
    dave.save()
    client, path = as_(mallory), f"/invitations/{invitation.secret}/"
    assert 'data-status="revoked"' in client.get(path).content.decode()
    assert client.post(f"{path}accept/").status_code == 422


def test_under_suspension_it_waits(as_, acme, mallory, sam, path):
    acme.suspend(reason="Spam was sent.", by=sam)
    answer = as_(mallory).post(f"{path}accept/")
    assert (answer.status_code, b"Spam was sent." in answer.content) == (422, True)
    assert not acme.memberships.filter(user=mallory).exists()
    acme.lift_suspension(by=sam)
    assert as_(mallory).post(f"{path}accept/").status_code == 302


def test_a_member_keeps_the_role_they_have(as_, acme, alice, bob):
    bob.emailaddress_set.create(email="bob.private@example.test", verified=True)
    invitation = acme.invite_member("bob.private@example.test", Role.ADMIN, by=alice)
    assert as_(bob).post(f"/invitations/{invitation.secret}/accept/").status_code == 302
    assert acme.memberships.get(user=bob).role == "reader"


def test_an_unknown_link_is_no_page(client, db):
    assert client.get("/invitations/never-made/").status_code == 404


def test_who_has_no_account_signs_up_on_the_way_and_comes_back(client, acme, alice, delivered):
    acme.invite_member("nora@example.test", Role.READER, by=alice)
    (message,) = delivered()
    path = link_in(message, "/invitations/")
    page = client.get(path).content.decode()
    sign_up = unquote(re.search(r'href="(/accounts/signup/[^"]+)"', page)[1]).replace("&amp;", "&")
    assert 'value="nora@example.test"' in client.get(sign_up).content.decode()
    account = {"email": "nora@example.test", "password1": STRONG, "password2": STRONG, "next": path}
    client.post("/accounts/signup/", account)
    assert mail.outbox[-1].to == ["nora@example.test"]
    assert client.post(confirmation_path()).url == path
    assert client.post(f"{path}accept/").url == "/c/acme/"
    assert client.get("/c/acme/").status_code == 200


def test_who_comes_another_way_is_reminded(as_, acme, alice, mallory, other, invitation):
    assert "Acme Ltd has invited mallory@example.test" in as_(mallory).get("/accounts/home/").content.decode()
    assert "has invited" not in as_(alice).get("/accounts/home/?all=1").content.decode()
