import re
from datetime import timedelta
from hashlib import sha256

import pytest
from django.conf import settings
from django.core import mail
from django.utils import timezone

from accounts import notices
from accounts.models import AuditEntry, Notice
from domains.models import Mailbox, MailboxInvitation
from domains.models.mailbox_invitation import forget_old_invitations, invite_owner
from tests.domains.conftest import BASE, HASH, PASSWORD

ADD = f"{BASE}acme.test/mailboxes/add/"
URL = f"{BASE}acme.test/mailboxes/anna/invite/"
WITHDRAW = f"{BASE}acme.test/mailboxes/anna/uninvite/"


def sent() -> str:
    """The text of the one mail that is owed."""
    mail.outbox.clear()
    for notice_id in notices.unsent():
        notices.deliver(notice_id)
    [message] = mail.outbox
    return f"To: {message.to}\nSubject: {message.subject}\n{message.body}\n{message.alternatives[0][0]}"


def test_works(as_, alice, anna):
    client = as_(alice)
    assert client.post(URL, {"invite": "anna@home.example"}).status_code == 302
    invitation = MailboxInvitation.objects.get()
    assert (invitation.mailbox, invitation.email, invitation.by) == (anna, "anna@home.example", alice)
    assert (
        timedelta(days=7) - timedelta(minutes=1) < invitation.expires_at - timezone.now() < timedelta(days=7)
    )
    page = client.get(anna.get_absolute_url()).content.decode()
    assert 'data-invitation="open"' in page
    assert "anna@home.example" in page
    assert "Nobody can sign in yet" not in page  # the present password works until then
    anna.refresh_from_db()
    assert anna.password_hash == HASH
    entry = AuditEntry.objects.get(action="mailbox.invite")
    assert (entry.by, entry.subject, entry.after) == (alice, "anna@acme.test", {"email": "anna@home.example"})


def test_the_mail_carries_the_link_and_nothing_else_knows_it(as_, alice, anna):
    client = as_(alice)
    client.post(URL, {"invite": "anna@home.example"})
    text = sent()
    assert "To: ['anna@home.example']" in text
    assert "Subject: Set the password of anna@acme.test" in text
    assert "Acme Ltd has made the mailbox anna@acme.test for you." in text
    found = set(re.findall(rf"{re.escape(settings.PANEL_URL)}/mailbox/password/([A-Za-z0-9_-]{{43}})/", text))
    [token] = found
    invitation = MailboxInvitation.objects.get()
    assert invitation.token_hash == sha256(token.encode()).hexdigest()
    stored = str(list(MailboxInvitation.objects.values())) + str(list(Notice.objects.values()))
    assert token not in stored + str(list(AuditEntry.objects.values()))
    assert token not in client.get(anna.get_absolute_url()).content.decode()


def test_at_add_time_instead_of_a_password(as_, alice, domain):
    client = as_(alice)
    assert 'name="invite"' in client.get(ADD).content.decode()
    response = client.post(
        ADD, {"username": "ben", "quota_mb": "512", "name": "Ben", "invite": "ben@home.example"}
    )
    assert response.status_code == 302
    ben = domain.mailboxes.get()
    assert ben.password_hash.startswith("{ARGON2ID}$argon2id$")
    assert ben.password_awaited_since
    assert ben.invitation.email == "ben@home.example"
    assert "ben@home.example" in sent()
    page = client.get(response["Location"]).content.decode()
    assert "Nobody can sign in yet." in page
    listed = client.get(f"{BASE}acme.test/mailboxes/?state=waiting").content.decode()
    assert "ben@acme.test" in listed
    assert "Invited" in listed


@pytest.mark.parametrize(
    ("password", "invite"), [("", ""), (PASSWORD, "ben@home.example")], ids=["neither", "both"]
)
def test_either_a_password_or_an_invitation(as_, alice, domain, password, invite):
    response = as_(alice).post(ADD, {"username": "ben", "password": password, "invite": invite})
    assert response.status_code == 422
    assert 'id="id_password_error"' in response.content.decode()
    assert not Mailbox.objects.exists()


def test_a_newer_one_replaces_it(as_, alice, anna):
    client = as_(alice)
    client.post(URL, {"invite": "old@home.example"})
    client.post(URL, {"invite": "new@home.example"})
    old, new = MailboxInvitation.objects.order_by("made_at")
    assert (old.is_open, new.is_open) == (False, True)
    assert "new@home.example" in sent()  # and the old one is owed to nobody any more


def test_withdrawn(as_, alice, anna):
    client = as_(alice)
    client.post(URL, {"invite": "anna@home.example"})
    assert client.post(WITHDRAW).status_code == 302
    assert client.post(WITHDRAW).status_code == 302  # twice is harmless
    assert not MailboxInvitation.objects.get().is_open
    assert AuditEntry.objects.filter(action="mailbox.invitation_revoke").count() == 1
    assert "data-invitation" not in client.get(anna.get_absolute_url()).content.decode()


def test_a_password_set_by_an_admin_ends_it(domain):
    ben = domain.add_mailbox("ben", invite="ben@home.example", by=None)
    ben.set_password(PASSWORD, by=None)
    ben.refresh_from_db()
    assert (ben.password_awaited_since, ben.invitation) == (None, None)


def test_over_is_said(as_, alice, domain):
    ben = domain.add_mailbox("ben", invite="ben@home.example", by=None)
    MailboxInvitation.objects.update(expires_at=timezone.now())
    page = as_(alice).get(ben.get_absolute_url()).content.decode()
    assert 'data-invitation="over"' in page
    assert "was over on" in page
    ben.invitation.revoke(by=None)
    assert "No invitation is open." in as_(alice).get(ben.get_absolute_url()).content.decode()


@pytest.mark.parametrize(
    "email",
    ["", "anna", "anna@acme.test", "ANNA+x@Acme.Test", "a@b\r\nBcc: c@d.example", "a@b.example,c@d.example",
     "a@b.example\x00", "x" * 300 + "@b.example", "<a@b.example>"],
)  # fmt: skip
def test_refused_addresses(as_, alice, anna, email):
    response = as_(alice).post(URL, {"invite": email})
    assert response.status_code in (400, 422)
    if response.status_code == 422:
        assert 'id="id_invite_error"' in response.content.decode()
    assert not MailboxInvitation.objects.exists()
    assert not Notice.objects.exists()


def test_not_more_than_five_an_hour(as_, alice, anna):
    client = as_(alice)
    for _ in range(5):
        assert client.post(URL, {"invite": "anna@home.example"}).status_code == 302
    response = client.post(URL, {"invite": "anna@home.example"})
    assert response.status_code == 422
    assert "At most 5 invitations an hour" in response.content.decode()
    assert MailboxInvitation.objects.count() == 5
    MailboxInvitation.objects.update(made_at=timezone.now() - timedelta(minutes=61))
    assert client.post(URL, {"invite": "anna@home.example"}).status_code == 302


def test_stranger_gets_404(as_, mallory, other, anna):
    for url in (URL, WITHDRAW):
        assert as_(mallory).post(url, {"invite": "m@home.example"}).status_code == 404
    assert not MailboxInvitation.objects.exists()


def test_reader_gets_403_and_get_is_405(as_, alice, bob, anna):
    for url in (URL, WITHDRAW):
        assert as_(bob).post(url, {"invite": "m@home.example"}).status_code == 403
        assert as_(alice).get(url).status_code == 405
    assert not MailboxInvitation.objects.exists()


def test_forgotten_a_month_after_its_end(anna):
    invite_owner(anna, "anna@home.example", by=None)
    forget_old_invitations()
    assert MailboxInvitation.objects.exists()
    MailboxInvitation.objects.update(expires_at=timezone.now() - timedelta(days=31))
    forget_old_invitations()
    assert not MailboxInvitation.objects.exists()
