"""A copy of one's own data: asked for, made by a worker, fetched once by the link in the mail."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import timezone

from accounts import exporting, privacy
from accounts.models import AuditEntry, Customer, DataExport, User
from accounts.models.data_export import DataExportPart
from accounts.models.mailed_link import hash_of
from accounts.tasks import make_data_export, sweep_data_exports
from foundation.unit_of_work import unit_of_work
from tests.accounts.conftest import link_in
from tests.conftest import PASSWORD, TOTP_SECRET
from tests.test_census import copy_of_data

ASK = "/accounts/data/export/"
PAGE = "/accounts/data/"
As = Callable[[User], Client]
Delivered = Callable[[], list[EmailMessage]]


@pytest.fixture(autouse=True)
def hints_arrive_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_data_export, "apply_async", lambda args, expires: make_data_export(*args))
    monkeypatch.setattr(make_data_export, "delay_on_commit", lambda pk: None)


def opened(answer: Any) -> dict[str, str]:
    """The files of the ZIP that was sent."""
    assert answer.status_code == 200
    content = b"".join(answer.streaming_content)
    assert answer["Content-Length"] == str(len(content))
    with ZipFile(BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_person_asks_gets_a_mail_and_downloads(
    as_: As, acme: Customer, alice: User, delivered: Delivered
) -> None:
    client = as_(alice)
    assert client.post(ASK)["Location"] == PAGE
    assert b'data-status="making"' in client.get(PAGE).content
    sweep_data_exports()
    assert b'data-status="ready"' in client.get(PAGE).content
    (message,) = delivered()
    assert message.to == [alice.email]
    path = link_in(message, "/accounts/data/exports/")
    assert b'data-status="ready"' in client.get(path).content
    answer = client.post(path)
    assert answer["Content-Type"] == "application/zip"
    files = opened(answer)
    assert set(files) == {"README.txt", "accounts.json", "billing.json", "domains.json"}
    assert json.loads(files["accounts.json"])["email"] == alice.email
    assert all(name in files["README.txt"] for name in files if name != "README.txt")
    assert b'data-status="fetched"' in client.get(PAGE).content
    assert list(AuditEntry.objects.filter(action__startswith="data_export").values_list("action", "by")) == [
        ("data_export.fetch", alice.pk),
        ("data_export.ask", alice.pk),
    ]
    (told,) = delivered()
    assert (told.to, told.subject) == ([alice.email], "Your data were downloaded")


def test_looking_at_the_link_does_not_use_it(as_: As, alice: User) -> None:
    path, client = f"/accounts/data/exports/{copy_of_data(alice).secret}/", as_(alice)
    for _ in range(3):
        assert client.get(path).status_code == 200
    assert opened(client.post(path))


def test_the_link_works_once_and_the_content_goes_with_it(as_: As, alice: User) -> None:
    path, client = f"/accounts/data/exports/{copy_of_data(alice).secret}/", as_(alice)
    opened(client.post(path))
    assert not DataExportPart.objects.exists()
    again = client.post(path)
    assert again.status_code == 422
    assert b'data-status="fetched"' in again.content
    assert AuditEntry.objects.filter(action="data_export.fetch").count() == 1


def test_of_two_who_press_at_once_one_gets_it(alice: User, rf: Any) -> None:
    export, request = copy_of_data(alice), rf.post("/")
    assert exporting.fetch_export(export, request=request)
    assert exporting.fetch_export(export, request=request) is None


def test_it_is_for_the_person_alone(as_: As, alice: User, mallory: User, sam: User) -> None:
    path = f"/accounts/data/exports/{copy_of_data(alice).secret}/"
    assert Client().get(path).status_code == 302
    for other in (mallory, sam):
        assert as_(other).get(path).status_code == 404
        assert as_(other).post(path).status_code == 404
    assert DataExport.objects.get().fetched_at is None


def test_the_days_of_the_link(as_: As, alice: User) -> None:
    export = copy_of_data(alice)
    assert timedelta(days=6, hours=23) < export.expires_at - timezone.now() <= timedelta(days=7)
    DataExport.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    path, client = f"/accounts/data/exports/{export.secret}/", as_(alice)
    assert client.post(path).status_code == 422
    sweep_data_exports()
    assert not DataExport.objects.exists()
    assert not DataExportPart.objects.exists()
    assert client.get(path).status_code == 404


def test_a_download_that_broke_off_leaves_nothing_for_long(alice: User, rf: Any) -> None:
    content = exporting.fetch_export(copy_of_data(alice), request=rf.post("/"))
    assert content is not None
    assert DataExportPart.objects.exists()
    DataExport.objects.update(fetched_at=timezone.now() - timedelta(hours=2))
    sweep_data_exports()
    assert not DataExportPart.objects.exists()
    DataExport.objects.update(fetched_at=timezone.now() - timedelta(days=91))
    sweep_data_exports()
    assert not DataExport.objects.exists()


def test_asking_twice_is_one_while_it_is_made_and_a_new_one_later(as_: As, alice: User) -> None:
    client = as_(alice)
    client.post(ASK)
    client.post(ASK)
    first = DataExport.objects.get()
    assert AuditEntry.objects.filter(action="data_export.ask").count() == 1
    exporting.make_export(str(first.pk))
    first.refresh_from_db()
    client.post(ASK)
    second = DataExport.objects.get()
    assert second.pk != first.pk
    assert not second.parts.exists()
    assert client.get(f"/accounts/data/exports/{first.secret}/").status_code == 404


def test_five_a_day(as_: As, alice: User) -> None:
    for _ in range(5):
        copy_of_data(alice)
    answer = as_(alice).post(ASK)
    assert answer.status_code == 422
    assert "Try again tomorrow" in answer.content.decode()
    assert DataExport.objects.count() == 1


def test_a_worker_that_is_killed_leaves_nothing_and_another_begins_again(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = exporting.ask_export(alice)
    with monkeypatch.context() as patched:
        patched.setattr(exporting, "PIECE", 100)
        patched.setattr(exporting, "send_notice", lambda *args: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            make_data_export(str(export.pk))
    assert not DataExportPart.objects.exists()
    sweep_data_exports()
    export.refresh_from_db()
    assert export.status == "ready"
    assert not exporting.make_export(str(export.pk))  # twice is harmless


def test_many_pieces_make_one_file(as_: As, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PIECE", 100)
    with unit_of_work():
        AuditEntry.objects.bulk_create(AuditEntry(action=f"thing.{n}", by=alice) for n in range(3000))
    export = copy_of_data(alice)
    assert export.parts.count() > 20
    files = opened(as_(alice).post(f"/accounts/data/exports/{export.secret}/"))
    assert len(json.loads(files["accounts.json"])["acts"]) >= 3000


def test_it_stands_encrypted_and_its_link_as_a_hash(alice: User) -> None:
    export = copy_of_data(alice)
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT content FROM accounts_dataexportpart")
        assert all(content.startswith("gAAAA") for (content,) in cursor.fetchall())
        cursor.execute("SELECT row_to_json(e)::text FROM accounts_dataexport e")
        row = cursor.fetchone()[0]
    assert export.secret not in row
    assert hash_of(export.secret) in row


def test_it_holds_no_secret(as_: As, alice: User) -> None:
    TOTP.activate(alice, TOTP_SECRET)
    export = copy_of_data(alice)
    alice.refresh_from_db()
    text = str(opened(as_(alice).post(f"/accounts/data/exports/{export.secret}/")))
    secrets = [alice.password, PASSWORD, TOTP_SECRET, export.secret, export.nonce, export.secret_hash]
    secrets += [str(Authenticator.objects.get(user=alice).data["secret"])]
    assert not [secret for secret in secrets if secret in text]
    assert "session_key" not in text


def test_it_asks_again_who_one_is(as_: As, alice: User) -> None:
    client = as_(alice)
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": 0}]
    session.save()
    path = f"/accounts/data/exports/{copy_of_data(alice).secret}/"
    for answer in (client.post(ASK), client.get(path), client.post(path)):
        assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert DataExport.objects.get().fetched_at is None


def test_erasing_takes_it_along(alice: User) -> None:
    copy_of_data(alice)
    with unit_of_work():
        privacy.erase_person(alice)
    assert not DataExport.objects.exists()


def test_nothing_is_made_or_mailed_for_who_is_gone(alice: User, delivered: Delivered) -> None:
    export = exporting.ask_export(alice)
    User.objects.update(is_active=False)
    sweep_data_exports()
    assert not exporting.make_export(str(export.pk))
    assert delivered() == []


@pytest.mark.parametrize("secret", ["x", "a" * 64, "a" * 3000])
def test_a_forged_link_leads_nowhere(as_: As, alice: User, secret: str) -> None:
    copy_of_data(alice)
    path = f"/accounts/data/exports/{secret}/"
    assert as_(alice).get(path).status_code == 404
    assert as_(alice).post(path).status_code == 404
