from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import AuditEntry
from domains.models import Mailbox, ServerRow
from tests.domains.conftest import BASE, HASH
from tests.plans import sell_as

URL = f"{BASE}acme.test/mailboxes/anna/delete/"
RESTORE = f"{BASE}acme.test/mailboxes/anna/restore/"


def test_works(as_, alice, anna):
    client = as_(alice)
    assert "anna@acme.test" in client.get(URL).content.decode()
    response = client.post(URL)
    assert response.status_code == 302
    assert response["Location"] == anna.domain.get_absolute_url()
    assert RESTORE in client.get(response["Location"]).content.decode()
    assert RESTORE in client.get(f"{anna.domain.mailboxes_url}?state=deleted").content.decode()
    assert client.get(URL)["Location"] == anna.get_absolute_url()  # from the second tab, or the back button
    anna.refresh_from_db()
    assert anna.deleted_at
    assert ServerRow.objects.get(kind="mailbox", key=anna.pk).gone
    assert 'data-status="deleted"' in client.get(anna.get_absolute_url()).content.decode()


def test_restoring_brings_back_what_was(as_, alice, anna):
    client = as_(alice)
    anna.suspend(stops=["send"], reason="Careful", by=alice)
    client.post(URL)
    assert client.post(RESTORE).status_code == 302
    anna.refresh_from_db()
    assert anna.deleted_at is None
    assert (anna.password_hash, anna.suspension.reason) == (HASH, "Careful")
    assert not ServerRow.objects.get(kind="mailbox", key=anna.pk).gone
    assert AuditEntry.objects.filter(action__in=["mailbox.delete", "mailbox.restore"]).count() == 2


@pytest.mark.parametrize("url", [URL, RESTORE])
def test_stranger_gets_404(as_, mallory, other, anna, url):
    assert as_(mallory).post(url).status_code == 404


@pytest.mark.parametrize("url", [URL, RESTORE])
def test_reader_gets_403(as_, bob, anna, url):
    assert as_(bob).post(url).status_code == 403


def test_twice_is_harmless(as_, alice, anna, mx1):
    client = as_(alice)
    client.post(URL)
    assert client.post(URL).status_code == 302
    client.post(RESTORE)
    assert client.post(RESTORE).status_code == 302
    mx1.refresh_from_db()
    assert mx1.revision == 4  # enrolled, added, deleted, restored


def test_the_address_is_free_at_once_and_starts_empty(as_, alice, anna, domain):
    Mailbox.objects.filter(pk=anna.pk).update(used_bytes=5_000)
    as_(alice).post(URL)
    again = domain.add_mailbox("anna", password_hash=HASH, by=alice)
    assert again.pk != anna.pk
    assert again.used_bytes == 0
    response = as_(alice).post(RESTORE)
    assert response.status_code == 422
    assert "exists" in response.content.decode()
    assert 'data-status="deleted"' in response.content.decode()
    anna.refresh_from_db()
    assert anna.deleted_at


def test_of_two_with_one_address_the_chosen_one_comes_back(as_, alice, anna, domain):
    client = as_(alice)
    client.post(URL)
    again = domain.add_mailbox("anna", password_hash=HASH, by=alice)
    client.post(URL)
    page = client.get(f"{domain.mailboxes_url}?state=deleted").content.decode()
    assert f'name="which" value="{anna.pk}"' in page
    assert f'name="which" value="{again.pk}"' in page
    assert client.post(RESTORE, {"which": str(anna.pk)}).status_code == 302
    assert list(domain.mailboxes.live()) == [anna]


@pytest.mark.parametrize("which", ["x", "00000000-0000-4000-8000-000000000000", "a\0b"])
def test_one_that_is_not_there_is_not_restored(as_, alice, anna, which):
    client = as_(alice)
    client.post(URL)
    assert client.post(RESTORE, {"which": which}).status_code == 404


def test_of_another_address_is_not_restored(as_, alice, anna, domain):
    ben = domain.add_mailbox("ben", password_hash=HASH, by=alice)
    ben.delete(by=alice)
    anna.delete(by=alice)
    assert as_(alice).post(RESTORE, {"which": str(ben.pk)}).status_code == 404


def test_after_its_days_it_is_gone(as_, alice, anna):
    anna.delete(by=alice)
    Mailbox.objects.filter(pk=anna.pk).update(deleted_at=timezone.now() - timedelta(days=30, seconds=1))
    assert as_(alice).get(anna.get_absolute_url()).status_code == 404
    assert as_(alice).post(RESTORE).status_code == 404
    with pytest.raises(ValidationError, match="30 days are over"):
        anna.restore(by=alice)


def test_restoring_needs_room_in_the_plan(as_, alice, anna, domain, acme):
    anna.delete(by=alice)
    domain.add_mailbox("ben", password_hash=HASH, by=alice)
    sell_as(acme, mailboxes=1)
    response = as_(alice).post(RESTORE)
    assert response.status_code == 422
    assert "Your plan holds 1 mailboxes" in response.content.decode()
