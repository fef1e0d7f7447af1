"""A pending invitation is sent again, or taken back."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEntry, Invitation, Role
from accounts.tasks import sweep_invitations


@pytest.fixture
def invitation(acme, alice, delivered):
    made = acme.invite_member("mallory@example.test", Role.READER, by=alice)
    delivered()
    return made


def path(invitation, verb):
    return f"/c/acme/members/invitations/{invitation.pk}/{verb}/"


def a_while_passes():
    Invitation.objects.update(mailed_at=timezone.now() - timedelta(minutes=2))


def test_revoked_its_link_is_dead_at_once(as_, acme, alice, mallory, invitation):
    client = as_(alice)
    assert client.post(path(invitation, "revoke")).url == "/c/acme/members/"
    assert (
        "mallory@example.test"
        not in client.get("/c/acme/members/").content.decode().split("<main")[1].split('class="table"', 1)[1]
    )
    assert as_(mallory).post(f"/invitations/{invitation.secret}/accept/").status_code == 422
    entry = AuditEntry.objects.get(action="invitation.revoke")
    assert (entry.by, entry.subject, entry.before) == (alice, "mallory@example.test", {"role": "reader"})
    assert client.post(path(invitation, "revoke")).status_code == 302
    assert AuditEntry.objects.filter(action="invitation.revoke").count() == 1


def test_sent_again_the_former_link_is_dead(as_, acme, alice, mallory, invitation, delivered):
    a_while_passes()
    assert as_(alice).post(path(invitation, "resend")).status_code == 302
    (message,) = delivered()
    again = Invitation.objects.get()
    assert again.link in message.body
    assert as_(mallory).get(f"/invitations/{invitation.secret}/").status_code == 404
    assert as_(mallory).post(f"/invitations/{again.secret}/accept/").status_code == 302


def test_a_double_click_sends_one_mail(as_, acme, alice, invitation, delivered):
    a_while_passes()
    client = as_(alice)
    for _ in range(2):
        assert client.post(path(invitation, "resend")).status_code == 302
    assert len(delivered()) == 1


@pytest.mark.parametrize("verb", ["resend", "revoke"])
def test_others_do_neither(as_, acme, other, alice, mallory, bob, dave, invitation, verb):
    a_while_passes()
    assert as_(mallory).post(path(invitation, verb)).status_code == 404
    assert as_(bob).post(path(invitation, verb)).status_code == 403
    foreign = path(invitation, verb).replace("/c/acme/", "/c/other/")
    assert as_(mallory).post(foreign).status_code == 404
    for_owner = acme.invite_member("o@example.test", Role.OWNER, by=alice)
    assert as_(dave).post(path(for_owner, verb)).status_code == 403
    assert Invitation.objects.pending().count() == 2


def test_what_is_over_is_not_sent_again(as_, acme, alice, invitation, delivered):
    invitation.revoke(by=alice)
    answer = as_(alice).post(path(invitation, "resend"))
    assert answer.status_code == 422
    assert delivered() == []


def test_old_ones_are_forgotten(acme, alice, invitation):
    sweep_invitations()
    Invitation.objects.update(expires_at=timezone.now() - timedelta(days=91))
    acme.invite_member("new@example.test", Role.READER, by=alice)
    sweep_invitations()
    assert Invitation.objects.get().email == "new@example.test"
