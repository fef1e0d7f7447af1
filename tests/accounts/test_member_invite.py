"""Somebody is invited by mail."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import AuditEntry, Invitation
from accounts.models.invitation import MAILS_A_DAY
from tests.accounts.conftest import link_in

PAGE = "/c/acme/members/invite/"


def invite(client, email="new@example.test", role="reader"):
    return client.post(PAGE, {"email": email, "role": role})


def test_it_is_mailed_listed_and_written_down(as_, acme, alice, delivered):
    client = as_(alice)
    assert invite(client, "New@Example.test").url == "/c/acme/members/"
    (message,) = delivered()
    assert message.to == ["new@example.test"]
    assert "Alice Acme" in message.subject
    assert link_in(message, "/invitations/") == f"/invitations/{Invitation.objects.get().secret}/"
    assert "new@example.test" in client.get("/c/acme/members/").content.decode()
    entry = AuditEntry.objects.get(action="invitation.send")
    assert (entry.by, entry.customer, entry.subject) == (alice, acme, "new@example.test")
    assert entry.after == {"role": "reader"}


def test_strangers_and_readers_invite_nobody(as_, acme, other, mallory, bob, carol):
    assert invite(as_(mallory)).status_code == 404
    assert invite(as_(bob)).status_code == 403
    assert invite(as_(carol)).status_code == 403
    assert not Invitation.objects.exists()


def test_an_admin_invites_admins_and_no_owner(as_, acme, alice, dave):
    assert invite(as_(dave), "a@example.test", "admin").status_code == 302
    answer = invite(as_(dave), "o@example.test", "owner")
    assert answer.status_code == 422
    assert 'id="id_role_error"' in answer.content.decode()
    assert invite(as_(alice), "o@example.test", "owner").status_code == 302
    with pytest.raises(ValidationError, match="Only an owner"):
        acme.invite_member("p@example.test", "owner", by=dave)


def test_twice_is_one_invitation_and_one_mail(as_, acme, alice, delivered):
    client = as_(alice)
    assert invite(client).status_code == invite(client).status_code == 302
    assert len(delivered()) == 1
    assert Invitation.objects.count() == 1
    assert "Revoke that invitation first" in invite(client, role="billing").content.decode()


def test_after_its_days_the_same_again_mails_a_new_link(acme, alice, delivered):
    invitation = acme.invite_member("new@example.test", "reader", by=alice)
    delivered()
    long_ago = timezone.now() - timedelta(days=8)
    Invitation.objects.update(expires_at=long_ago + timedelta(days=7), mailed_at=long_ago)
    again = acme.invite_member("new@example.test", "reader", by=alice)
    assert (again.pk, again.status) == (invitation.pk, "invited")
    assert again.secret != invitation.secret
    assert len(delivered()) == 1


def test_members_are_not_invited(as_, acme, alice):
    answer = invite(as_(alice), "bob@example.test")
    assert answer.status_code == 422
    assert "is a member already" in answer.content.decode()


def test_a_known_and_an_unknown_address_look_the_same(as_, acme, alice, mallory, delivered):
    client = as_(alice)
    pages, texts = [], []
    for email in ("mallory@example.test", "nobody1@example.test"):
        assert invite(client, email).status_code == 302
        page = client.get("/c/acme/members/").content.decode()
        invitation = Invitation.objects.get(email=email)
        (message,) = delivered()
        texts.append(message.body.replace(email, "X").replace(invitation.secret, "S"))
        pages.append(page.count(">Invited<"))
        assert email in page
    assert texts[0].split("holds until")[0] == texts[1].split("holds until")[0]
    assert pages == [1, 2]


def test_a_second_address_of_a_member_is_not_told_apart(as_, acme, alice, bob):
    bob.emailaddress_set.create(email="bob.private@example.test", verified=True)
    assert invite(as_(alice), "bob.private@example.test").status_code == 302


def test_mails_to_strangers_are_bounded(acme, alice):
    acme.invite_member("new@example.test", "reader", by=alice)
    Invitation.objects.update(mails=MAILS_A_DAY)
    with pytest.raises(ValidationError, match="a day at most"):
        acme.invite_member("more@example.test", "reader", by=alice)


def test_nobody_is_invited_before_activation_or_under_suspension(as_, acme, alice, sam):
    acme.suspend(reason="Spam was sent.", by=sam)
    answer = invite(as_(alice))
    assert answer.status_code == 403
    assert "Spam was sent" in answer.content.decode()


def test_the_secret_stands_nowhere(acme, alice, delivered):
    invitation = acme.invite_member("new@example.test", "reader", by=alice)
    delivered()
    row = Invitation.objects.values().get()
    assert invitation.secret not in str(row)
    assert len(row["secret_hash"]) == 64
