from collections.abc import Callable

import pytest
from argon2 import PasswordHasher
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import AuditEntry, Customer, User
from domains.models import Domain, Mailbox, ServerRow
from tests.domains.conftest import BASE, HASH, PASSWORD
from tests.plans import sell_as

URL = f"{BASE}acme.test/mailboxes/add/"
FORM = {"username": "Ben.Bell", "password": PASSWORD, "quota_mb": "512", "name": "Ben"}


@pytest.fixture
def client(as_: Callable[[User], Client], alice: User, domain: Domain) -> Client:
    return as_(alice)


def test_works(client, alice, domain, mx1, django_capture_on_commit_callbacks):
    response = client.post(URL, FORM)

    assert response.status_code == 302
    assert response["Location"] == f"{BASE}acme.test/mailboxes/ben.bell/"
    mailbox = domain.mailboxes.get()
    assert (mailbox.local_part, mailbox.quota_mb, mailbox.name) == ("ben.bell", 512, "Ben")
    assert mailbox.password_hash.startswith("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$")
    assert PasswordHasher().verify(mailbox.password_hash.removeprefix("{ARGON2ID}"), PASSWORD)
    row = ServerRow.objects.get(server=mx1, kind="mailbox", key=mailbox.pk)
    mx1.refresh_from_db()
    assert (row.revision, row.gone) == (mx1.revision, False)
    entry = AuditEntry.objects.get(action="mailbox.add")
    assert (entry.by, entry.subject, entry.customer.username) == (alice, "ben.bell@acme.test", "acme")
    assert PASSWORD not in str(entry.after)
    assert mailbox.password_hash not in str(entry.after)


def test_page_offers_the_form(client):
    response = client.get(URL)
    assert response.status_code == 200
    for name in FORM:
        assert f'name="{name}"' in response.content.decode()


def test_stranger_gets_404(as_, mallory, other, domain):
    assert as_(mallory).post(URL, FORM).status_code == 404
    own = URL.replace("/c/acme/", "/c/other/")
    assert as_(mallory).post(own, FORM).status_code == 404
    assert not Mailbox.objects.exists()


def test_reader_gets_403(as_, bob, domain):
    assert as_(bob).post(URL, FORM).status_code == 403
    assert not Mailbox.objects.exists()


def test_twice_is_told_that_it_exists(client, anna):
    response = client.post(URL, FORM | {"username": "ANNA"})
    assert response.status_code == 422
    assert "exists" in response.content.decode()
    assert 'id="id_username_error"' in response.content.decode()
    assert Mailbox.objects.count() == 1


def test_default_quota(client, domain):
    client.post(URL, FORM | {"quota_mb": ""})
    assert domain.mailboxes.get().quota_mb == 1024


@pytest.mark.parametrize(
    "username",
    ["", "a b", "a\nb", "a..b", ".a", "a.", "-a", "a+b", "a'b", 'a"b', "a%b", "$a", "../a", "a/b",
     "a@acme.test", "ä", "x" * 65, "x" * 65536, "a;b", "a\\b", "a\x00b"],
)  # fmt: skip
def test_hostile_names(client, username):
    response = client.post(URL, FORM | {"username": username})
    assert response.status_code == 422
    assert 'id="id_username_error"' in response.content.decode()
    assert not Mailbox.objects.exists()


@pytest.mark.parametrize(
    "password",
    [
        "",
        "seven77",
        "password",
        "Password1",
        "x" * 129,
        "x" * 65536,
        "long enough\nbut two lines",
        "with a \x00 in it",
    ],
)
def test_refused_passwords(client, password):
    response = client.post(URL, FORM | {"password": password})
    assert response.status_code == 422
    assert 'id="id_password_error"' in response.content.decode()
    assert not Mailbox.objects.exists()


@pytest.mark.parametrize("quota", ["-1", "1.5", "many", "1e9", "99999999999999999999", "10241"])
def test_refused_quotas(client, quota):
    response = client.post(URL, FORM | {"quota_mb": quota})
    assert response.status_code == 422
    assert 'id="id_quota_mb_error"' in response.content.decode()


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[31m", "x" * 121, "a\x00b"])
def test_refused_display_names(client, name):
    response = client.post(URL, FORM | {"name": name})
    assert response.status_code == 422
    assert 'id="id_name_error"' in response.content.decode()


def test_password_is_kept_from_its_nfc_form(domain):
    mailbox = domain.add_mailbox("nfc", "Zu\u0308rich-und-Bern", by=None)
    stored = mailbox.password_hash.removeprefix("{ARGON2ID}")
    assert PasswordHasher().verify(stored, "Z\u00fcrich-und-Bern")


def test_ready_hashes(domain):
    assert domain.add_mailbox("ready", password_hash=HASH, by=None).password_hash == HASH
    for bad in ("{PLAIN}secret", HASH.replace("m=19456", "m=999999"), HASH + "\n", "argon2"):
        with pytest.raises(ValidationError):
            domain.add_mailbox("bad", password_hash=bad, by=None)


def test_mailbox_named_like_a_page(client, domain):
    location = client.post(URL, FORM | {"username": "add"})["Location"]
    assert location == f"{BASE}acme.test/mailboxes/add@acme.test/"
    page = client.get(location)
    assert page.status_code == 200
    assert "add@acme.test" in page.content.decode()


def test_plan_is_used_up(client, acme: Customer, anna):
    sell_as(acme, mailboxes=1)
    response = client.post(URL, FORM)
    assert response.status_code == 422
    assert "Your plan holds 1 mailboxes, and 1 are there." in response.content.decode()


def test_without_service_nothing_is_added(client, acme: Customer):
    acme.subscriptions.update(ended_at="2100-01-01T00:00Z")
    response = client.post(URL, FORM)
    assert response.status_code == 422
    assert not Mailbox.objects.exists()


def test_suspended_customer_gets_403_with_the_reason(client, acme: Customer):
    acme.suspend(reason="Unpaid since March.", by=None)
    response = client.post(URL, FORM)
    assert response.status_code == 403
    assert "Unpaid since March." in response.content.decode()


def test_a_domain_deleted_meanwhile_takes_none(domain):
    same = Domain.objects.get(pk=domain.pk)
    domain.delete(by=None)
    with pytest.raises(ValidationError, match="was deleted meanwhile"):
        same.add_mailbox("late", password_hash=HASH, by=None)
    assert not Mailbox.objects.exists()
