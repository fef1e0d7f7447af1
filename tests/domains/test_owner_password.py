"""The owner of a mailbox sets its password by a link, without signing in to the panel."""

import re
import threading
import time
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry
from domains.driver.rows import contents
from domains.models import Mailbox, MailboxInvitation
from domains.models.mailbox_invitation import end_waiting, invite_owner
from foundation.scrubbing import scrub
from foundation.unit_of_work import unit_of_work
from tests.domains.conftest import HASH, PASSWORD, revision_of

READY = "/mailbox/ready/"


@pytest.fixture(autouse=True)
def empty_cache(db: None) -> None:
    cache.clear()


@pytest.fixture
def ben(domain) -> Mailbox:
    """ben@acme.test, whose owner is invited."""
    return domain.add_mailbox("ben", invite="ben@home.example", by=None)


def link(mailbox: Mailbox) -> str:
    return f"/mailbox/password/{mailbox.invitation.token}/"


def is_password(mailbox: Mailbox, password: str) -> bool:
    return PasswordHasher().verify(mailbox.password_hash.removeprefix("{ARGON2ID}"), password)


def badges(client, mailbox):
    """What the list and the page say of its state; the state is what stands beside its name."""
    page = client.get(mailbox.get_absolute_url()).content.decode()
    listed = client.get("/c/acme/domains/acme.test/mailboxes/").content.decode()
    row = listed.split(f">{mailbox}</a>")[1].split("</tr>")[0]
    return [re.search(r'class="badge"[^>]*>([^<]*)<', text)[1] for text in (row, page)]


def test_until_it_is_set_the_mailbox_is_invited(as_, bob, ben):
    client = as_(bob)
    assert badges(client, ben) == ["Invited", "Invited"]
    ben.suspend(reason="Holiday", by=None)
    assert badges(client, ben) == ["Suspended", "Suspended"]
    ben.unsuspend(by=None)
    Client().post(link(ben), {"password": PASSWORD})
    assert badges(client, ben)[1] == "Active"
    ben.refresh_from_db()
    ben.delete(by=None)
    assert ben.status == "deleted"


def test_works(ben):
    client, before, url = Client(), revision_of(ben), link(ben)
    page = client.get(url).content.decode()
    assert "Set the password of ben@acme.test" in page
    response = client.post(url, {"password": PASSWORD})
    assert (response.status_code, response["Location"]) == (302, READY)
    ben.refresh_from_db()
    assert is_password(ben, PASSWORD)
    assert ben.password_awaited_since is None
    assert revision_of(ben) > before
    ready = client.get(READY).content.decode()
    assert "ben@acme.test is yours" in ready
    assert "mx1.mxpanel.test" in ready
    assert "993" in ready
    entries = AuditEntry.objects.filter(subject="ben@acme.test", by=None).values_list("action", flat=True)
    assert {"mailbox.password", "mailbox.invitation_accept"} <= set(entries)
    assert PASSWORD not in str(list(AuditEntry.objects.values()))


def test_nobody_can_sign_in_before(ben):
    [row] = contents([("mailbox", ben.pk)])
    stored = row.data.password_hash if hasattr(row.data, "password_hash") else str(row)
    assert "$argon2id$" in stored
    for guess in ("", "ben", "ben@acme.test", ben.invitation.token, PASSWORD):
        with pytest.raises(Exception, match="does not match"):
            is_password(ben, guess)


def test_works_once(ben):
    client, url = Client(), link(ben)
    client.post(url, {"password": PASSWORD})
    for answer in (client.get(url), client.post(url, {"password": "another plenty 7391"})):
        assert answer.status_code == 404
        assert "does not work any more" in answer.content.decode()
    ben.refresh_from_db()
    assert is_password(ben, PASSWORD)


def test_looking_uses_nothing_up(ben):
    for _ in range(3):  # a mail scanner
        assert Client().get(link(ben)).status_code == 200
        assert Client().head(link(ben)).status_code == 200
    assert Client().post(link(ben), {"password": PASSWORD}).status_code == 302


@pytest.mark.parametrize(
    "end", ["over", "withdrawn", "replaced", "set by an admin", "deleted", "domain deleted"]
)
def test_not_after_its_end(ben, end):
    url = link(ben)
    if end == "over":
        MailboxInvitation.objects.update(expires_at=timezone.now())
    elif end == "withdrawn":
        ben.invitation.revoke(by=None)
    elif end == "replaced":
        invite_owner(ben, "new@home.example", by=None)
    elif end == "set by an admin":
        ben.set_password("of the admin 7391", by=None)
    elif end == "deleted":
        ben.delete(by=None)
    else:
        ben.domain.delete(by=None)
    before = Mailbox.objects.get().password_hash
    assert Client().get(url).status_code == 404
    assert Client().post(url, {"password": PASSWORD}).status_code == 404
    assert Mailbox.objects.get().password_hash == before


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_password_that_an_import_sets_meanwhile_wins(ben):
    """The two wait for each other in one order, so that neither is broken off."""
    invitation, accepted = ben.invitation, []

    def accept() -> None:
        accepted.append(invitation.accept(PASSWORD))
        connection.close()

    thread = threading.Thread(target=accept)
    with unit_of_work():
        Mailbox.objects.select_for_update().get(pk=ben.pk)
        thread.start()
        time.sleep(1)  # by now it waits for the mailbox
        end_waiting([ben])
    thread.join()
    assert accepted == [False]
    ben.refresh_from_db()
    assert ben.password_awaited_since is None


def test_of_two_at_once_one_sets_it(ben):
    first, second = MailboxInvitation.objects.get(), MailboxInvitation.objects.get()
    assert first.accept(PASSWORD) is True
    assert second.accept("another plenty 7391") is False
    ben.refresh_from_db()
    assert is_password(ben, PASSWORD)


def test_the_last_moment_counts(ben):
    MailboxInvitation.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
    assert Client().post(link(ben), {"password": PASSWORD}).status_code == 302


@pytest.mark.parametrize(
    "password", ["", "seven77", "password", "x" * 129, "two lines\nof it", "with a \x00 in it"]
)
def test_refused_passwords_leave_the_link_good(ben, password):
    url = link(ben)
    response = Client().post(url, {"password": password})
    assert response.status_code in (400, 422)
    if response.status_code == 422:
        assert 'id="id_password_error"' in response.content.decode()
    assert Client().post(url, {"password": PASSWORD}).status_code == 302


@pytest.mark.parametrize("token", ["x" * 43, "x" * 42, "x" * 44, "../../../etc", "%00" * 43])
def test_other_tokens_lead_nowhere(ben, token):
    for answer in (Client().get(f"/mailbox/password/{token}/"), Client().post(f"/mailbox/password/{token}/")):
        assert answer.status_code in (400, 404)
    ben.refresh_from_db()
    assert ben.password_awaited_since


def test_the_link_does_not_leak(ben, settings):
    response = Client().get(link(ben))
    assert response["Referrer-Policy"] == "same-origin"
    assert "no-store" in response["Cache-Control"]
    assert 'src="http' not in response.content.decode()
    token = ben.invitation.token
    assert token not in scrub(f"GET {settings.PANEL_URL}/mailbox/password/{token}/ 200")


def test_settings_are_for_the_browser_that_set_it(ben):
    Client().post(link(ben), {"password": PASSWORD})
    assert Client().get(READY).status_code == 404


def test_tries_are_limited(ben):
    client = Client()
    answers = [client.post(link(ben), {"password": "short"}).status_code for _ in range(31)]
    assert answers == [422] * 30 + [429]


def test_only_a_form_of_this_site_counts(ben):
    client = Client(enforce_csrf_checks=True)
    assert client.post(link(ben), {"password": PASSWORD}).status_code == 403


def test_an_old_password_works_until_then(anna):
    invite_owner(anna, "anna@home.example", by=None)
    anna.refresh_from_db()
    assert anna.password_hash == HASH
    assert Client().post(link(anna), {"password": PASSWORD}).status_code == 302
    anna.refresh_from_db()
    assert is_password(anna, PASSWORD)
