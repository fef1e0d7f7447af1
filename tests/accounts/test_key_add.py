from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from accounts.keys import MOST, add_key
from accounts.models import ApiKey, AuditEntry, Notice, User
from accounts.models.mailed_link import hash_of
from accounts.notices import deliver

URL = "/c/acme/keys/add/"
FORM = {"name": "Backup", "scopes": ["domains:read"], "networks": "", "expires_at": ""}


@pytest.fixture
def client(as_: Callable[[User], Client], alice: User, acme) -> Client:
    return as_(alice)


def test_works(client, acme, alice):
    page = client.post(URL, FORM | {"networks": "192.0.2.7\n2001:db8::/32"})

    assert page.status_code == 200
    made = ApiKey.objects.get()
    [shown] = [word for word in page.content.decode().replace("<", ">").split(">") if word.startswith("mxp_")]
    assert (made.customer, made.person, made.scopes) == (acme, alice, ["domains:read"])
    assert made.networks == ["192.0.2.7/32", "2001:db8::/32"]
    assert shown.startswith(made.prefix)
    assert made.secret_hash == hash_of(shown)
    assert page["Cache-Control"].startswith("max-age=0")
    entry = AuditEntry.objects.get(action="key.add")
    assert (entry.by, entry.subject) == (alice, f"{made.prefix}… (Backup)")
    assert shown not in str(entry.after)
    assert shown not in str(list(ApiKey.objects.values()))
    assert shown not in client.get(made.get_absolute_url()).content.decode()


def test_who_signed_in_long_ago_proves_first_who_they_are(client):
    session = client.session
    session["account_authentication_methods"] = []
    session.save()
    for answer in (client.get(URL), client.post(URL, FORM)):
        assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert not ApiKey.objects.exists()


def test_the_owners_are_told(client, as_, dave, alice):
    as_(dave).post(URL, FORM)
    notice = Notice.objects.get(kind="key.add")
    deliver(notice.pk)
    [sent] = mail.outbox
    assert sent.to == [alice.email]
    assert "dave@example.test made an API key" in sent.body
    assert ApiKey.objects.get().prefix in sent.body


def test_stranger_gets_404(as_, mallory, acme):
    assert as_(mallory).post(URL, FORM).status_code == 404


def test_nobody_gives_a_right_they_lack(as_, bob, acme):
    answer = as_(bob).post(URL, FORM | {"scopes": ["domains:edit"]})
    assert answer.status_code == 422
    assert not ApiKey.objects.exists()
    assert as_(bob).post(URL, FORM).status_code == 200


@pytest.mark.parametrize("scopes", [[], ["everything"], ["domains:read", "domains:edit"]])
def test_the_verb_refuses_what_is_not_the_person_s_to_give(acme, bob, scopes):
    with pytest.raises(ValidationError):
        add_key(acme, "Backup", scopes, [], None, by=bob)


def test_a_stranger_has_no_right_to_give(acme, mallory):
    with pytest.raises(ValidationError):
        add_key(acme, "Backup", ["domains:read"], [], None, by=mallory)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "x\r\ny"), ("name", "x" * 61), ("scopes", []), ("scopes", ["everything"]),
        ("networks", "192.0.2.0/33"), ("networks", "host.example"), ("networks", "fe80::1%eth0"),
        ("networks", "::ffff:192.0.2.1"), ("expires_at", "yesterday"),
        ("expires_at", "2020-01-01"),
        ("networks", "\n".join(f"192.0.2.{n}" for n in range(21))),
    ],
)  # fmt: skip
def test_wrong_values(client, field, value):
    answer = client.post(URL, FORM | {field: value})
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_there_is_a_limit_for_each_customer(client, as_, acme, alice, other, mallory):
    for number in range(MOST):
        ApiKey.objects.create(customer=acme, person=alice, name="x", prefix=f"mxp_{number}", scopes=[])
    assert client.post(URL, FORM).status_code == 422
    assert as_(mallory).post(URL.replace("acme", "other"), FORM).status_code == 200
    ApiKey.objects.filter(prefix="mxp_0").update(expires_at=timezone.now() - timedelta(days=1))
    assert client.post(URL, FORM).status_code == 200
