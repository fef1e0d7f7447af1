from argon2 import PasswordHasher

from accounts.models import AuditEntry
from tests.domains.conftest import BASE, HASH, PASSWORD, revision_of

URL = f"{BASE}acme.test/mailboxes/anna/password/"


def test_works(as_, alice, anna):
    before = revision_of(anna)
    response = as_(alice).post(URL, {"password": PASSWORD})
    assert response.status_code == 302
    assert response["Location"] == anna.get_absolute_url()
    anna.refresh_from_db()
    assert PasswordHasher().verify(anna.password_hash.removeprefix("{ARGON2ID}"), PASSWORD)
    assert revision_of(anna) > before
    entry = AuditEntry.objects.get(action="mailbox.password")
    assert (entry.before, entry.after) == (None, None)


def test_stranger_gets_404(as_, mallory, other, anna):
    assert as_(mallory).post(URL, {"password": PASSWORD}).status_code == 404


def test_reader_gets_403(as_, bob, anna):
    assert as_(bob).post(URL, {"password": PASSWORD}).status_code == 403


def test_twice_is_harmless(as_, alice, anna):
    client = as_(alice)
    assert [client.post(URL, {"password": PASSWORD}).status_code for _ in range(2)] == [302, 302]


def test_refused_passwords_change_nothing(as_, alice, anna):
    for password in ("", "short", "password1", "x" * 129):
        response = as_(alice).post(URL, {"password": password})
        assert response.status_code == 422
        assert 'id="id_password_error"' in response.content.decode()
    anna.refresh_from_db()
    assert anna.password_hash == HASH


def test_the_password_never_comes_back(as_, alice, anna):
    response = as_(alice).post(URL, {"password": "tooshrt"})
    assert "tooshrt" not in response.content.decode()


def test_deleted_mailbox_has_no_password_to_change(as_, alice, anna):
    anna.delete(by=None)
    assert as_(alice).post(URL, {"password": PASSWORD}).status_code == 404
    assert anna.set_password(PASSWORD, by=None) is False
