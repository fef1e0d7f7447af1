from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import AuditEntry
from domains.models import Domain, ServerRow, add_domain
from tests.domains.conftest import BASE
from tests.plans import sell_as

URL = f"{BASE}acme.test/delete/"
RESTORE = f"{BASE}acme.test/restore/"


def test_works(as_, alice, domain, anna, mx1):
    client = as_(alice)
    page = client.get(URL).content.decode()
    assert "Its 1 mailbox stop at once" in page or "Its 1 mailbox" in page
    response = client.post(URL, {"confirm": " ACME.test. "})
    assert response.status_code == 302
    assert response["Location"] == "/c/acme/"
    assert RESTORE in client.get(BASE).content.decode()
    assert client.get(URL)["Location"] == domain.get_absolute_url()  # from the second tab, or the back button
    rows = {row.kind: row.gone for row in ServerRow.objects.filter(server=mx1)}
    assert rows == {"domain": True, "dkim": True, "mailbox": False}
    assert 'data-status="deleted"' in client.get(domain.get_absolute_url()).content.decode()
    assert client.get(anna.get_absolute_url()).status_code == 404


def test_restoring_brings_back_exactly_what_was(as_, alice, domain, anna, mx1):
    client = as_(alice)
    public = domain.dkim_key.public_key
    client.post(URL, {"confirm": "acme.test"})
    assert client.post(RESTORE).status_code == 302
    domain.refresh_from_db()
    assert (domain.deleted_at, domain.dkim_key.public_key) == (None, public)
    assert not ServerRow.objects.filter(server=mx1, gone=True).exists()
    assert client.get(anna.get_absolute_url()).status_code == 200
    assert AuditEntry.objects.filter(action__in=["domain.delete", "domain.restore"]).count() == 2


@pytest.mark.parametrize("url", [URL, RESTORE])
def test_stranger_gets_404(as_, mallory, other, domain, url):
    assert as_(mallory).post(url, {"confirm": "acme.test"}).status_code == 404


@pytest.mark.parametrize("url", [URL, RESTORE])
def test_reader_gets_403(as_, bob, domain, url):
    assert as_(bob).post(url, {"confirm": "acme.test"}).status_code == 403


def test_twice_is_harmless(as_, alice, domain, mx1):
    client = as_(alice)
    client.post(URL, {"confirm": "acme.test"})
    assert client.post(URL, {"confirm": "acme.test"}).status_code == 302
    client.post(RESTORE)
    assert client.post(RESTORE).status_code == 302
    mx1.refresh_from_db()
    assert mx1.revision == 3


@pytest.mark.parametrize("typed", ["", "acme", "other.test", "acme.test\x00", "a" * 65536])
def test_wrong_name_changes_nothing(as_, alice, domain, typed):
    response = as_(alice).post(URL, {"confirm": typed})
    assert response.status_code == 422
    assert 'id="id_confirm_error"' in response.content.decode()
    domain.refresh_from_db()
    assert domain.deleted_at is None


def test_name_is_free_and_restoring_then_refused(as_, alice, domain, other, subscribe, mallory):
    as_(alice).post(URL, {"confirm": "acme.test"})
    subscribe(other)
    add_domain(other, "acme.test", by=mallory)
    response = as_(alice).post(RESTORE)
    assert response.status_code == 422
    assert "hosted here for another customer" in response.content.decode()
    assert "As you have proved it" not in response.content.decode(), "nobody looks at it unasked"


def test_of_two_with_one_name_the_chosen_one_comes_back(as_, alice, domain, served, mx1):
    client = as_(alice)
    client.post(URL, {"confirm": "acme.test"})
    again = add_domain(served, "acme.test", by=alice)
    client.post(URL, {"confirm": "acme.test"})
    page = client.get(BASE).content.decode()
    assert f'name="which" value="{domain.pk}"' in page
    assert f'name="which" value="{again.pk}"' in page
    assert client.post(RESTORE, {"which": str(domain.pk)}).status_code == 302
    assert list(served.domains.live()) == [domain]


def test_after_its_days_it_is_gone(as_, alice, domain):
    domain.delete(by=alice)
    Domain.objects.filter(pk=domain.pk).update(deleted_at=timezone.now() - timedelta(days=31))
    assert as_(alice).post(RESTORE).status_code == 404
    with pytest.raises(ValidationError, match="30 days are over"):
        domain.restore(by=alice)


def test_restoring_needs_room_for_its_mailboxes(alice, domain, anna, served):
    domain.delete(by=alice)
    sell_as(served, mailboxes=0)
    with pytest.raises(ValidationError, match="Your plan holds 0 mailboxes"):
        domain.restore(by=alice)
