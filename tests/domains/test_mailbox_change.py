import pytest

from accounts.models import AuditEntry
from tests.domains.conftest import BASE, revision_of

URL = f"{BASE}acme.test/mailboxes/anna/change/"


def test_works(as_, alice, anna):
    before = revision_of(anna)
    response = as_(alice).post(URL, {"quota_mb": "2048", "name": "Anna Archer"})
    assert response.status_code == 302
    assert response["Location"] == anna.get_absolute_url()
    anna.refresh_from_db()
    assert (anna.quota_mb, anna.name) == (2048, "Anna Archer")
    assert revision_of(anna) > before
    entry = AuditEntry.objects.get(action="mailbox.change")
    assert (entry.before["quota_mb"], entry.after["quota_mb"]) == (1024, 2048)


def test_stranger_gets_404(as_, mallory, other, anna):
    assert as_(mallory).post(URL, {"quota_mb": "1", "name": ""}).status_code == 404


def test_reader_gets_403(as_, bob, anna):
    assert as_(bob).post(URL, {"quota_mb": "1", "name": ""}).status_code == 403


def test_twice_is_harmless(as_, alice, anna):
    client = as_(alice)
    client.post(URL, {"quota_mb": "0", "name": "A"})
    before = revision_of(anna)
    assert client.post(URL, {"quota_mb": "0", "name": "A"}).status_code == 302
    assert revision_of(anna) == before
    assert AuditEntry.objects.filter(action="mailbox.change").count() == 1


@pytest.mark.parametrize(
    "form", [{"quota_mb": "10241"}, {"quota_mb": "-5"}, {"quota_mb": "x"}, {"quota_mb": "1", "name": "a\nb"}]
)
def test_refused_values_change_nothing(as_, alice, anna, form):
    response = as_(alice).post(URL, form)
    assert response.status_code == 422
    anna.refresh_from_db()
    assert (anna.quota_mb, anna.name) == (1024, "Anna")
