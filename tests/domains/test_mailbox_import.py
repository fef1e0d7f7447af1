import io
import os
import signal
import threading
import time

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from accounts.models import AuditEntry
from domains.mailbox_csv import applying
from domains.mailbox_csv.comparing import BATCH, compare
from domains.mailbox_password import verifies
from domains.models import ImportChunk, Mailbox, MailboxImport, ServerRow
from domains.models.mailbox_import import forget_old_imports
from domains.models.mailbox_invitation import invite_owner
from tests.domains.conftest import BASE, HASH, PASSWORD, settle
from tests.domains.settling import worker
from tests.faults import kills, new_dice, report
from tests.plans import sell_as

URL = f"{BASE}acme.test/imports/"
QUOTED = f'"{HASH}"'
BCRYPT = "{BLF-CRYPT}$2y$10$" + "a" * 53


@pytest.fixture(autouse=True)
def cheap_mailbox_hashes(monkeypatch):
    """The real cost is that of test_mailbox_add; here a hash takes a millisecond."""
    from argon2 import PasswordHasher

    monkeypatch.setattr("domains.mailbox_password._hasher", PasswordHasher(1, 8, 1))


@pytest.fixture
def client(as_, alice, domain):
    return as_(alice)


def upload(client, text: str | bytes, **more):
    content = text if isinstance(text, bytes) else text.encode()
    return client.post(f"{URL}add/", {"file": SimpleUploadedFile("m.csv", content)}, **more)


def made_of(domain, text: str, by=None) -> MailboxImport:
    """Compared, also what a worker compares."""
    found = compare(domain, io.BytesIO(text.encode()), by=by)
    applying.work(found.pk)
    found.refresh_from_db()
    return found


def imported(domain, text: str, by) -> MailboxImport:
    found = made_of(domain, text)
    found.confirm(by=by)
    applying.work(found.pk)
    found.refresh_from_db()
    return found


def figures(found: MailboxImport) -> tuple[int, ...]:
    return (found.new, found.changed, found.unchanged, found.refused)


def test_works(client, alice, anna, domain, mx1):
    text = f"username,name,quota_mb,password\nAnna,Anna Acme,2048,\nben,Ben,512,{PASSWORD}\ncy,,,{BCRYPT}\nd d,,,\n"
    response = upload(client, text)

    assert response.status_code == 302
    found = domain.mailbox_imports.get()
    page = client.get(response["Location"]).content.decode()
    assert 'data-status="ready"' in page
    assert figures(found) == (2, 1, 0, 1)
    assert "quota 1024 MB → 2048 MB, name “Anna” → “Anna Acme”" in page
    assert "Line 5: Use 1 to 64 letters" in page
    assert PASSWORD not in page
    assert Mailbox.objects.count() == 1, "nothing has changed yet"

    assert client.post(f"{response['Location']}confirm/").status_code == 302
    applying.work(found.pk)

    anna.refresh_from_db()
    assert (anna.name, anna.quota_mb, anna.password_hash) == ("Anna Acme", 2048, HASH)
    ben, cy = domain.mailboxes.get(local_part="ben"), domain.mailboxes.get(local_part="cy")
    assert (ben.name, ben.quota_mb, cy.name, cy.quota_mb) == ("Ben", 512, "", 1024)
    assert verifies(PASSWORD, ben.password_hash)
    assert cy.password_hash == BCRYPT
    mx1.refresh_from_db()
    rows = ServerRow.objects.filter(server=mx1, key__in=[anna.pk, ben.pk, cy.pk])
    assert set(rows.values_list("revision", "gone")) == {(mx1.revision, False)}
    entry = AuditEntry.objects.get(action="mailbox.import")
    assert (entry.by, entry.after["added"], entry.after["changed"]) == (alice, 2, 1)
    assert 'data-status="done"' in client.get(response["Location"]).content.decode()


def test_page_says_live_when_the_server_has_it(client, alice, domain, mx1):
    found = imported(domain, f"username,password\nben,{QUOTED}\n", alice)
    assert 'data-live="false"' in client.get(found.get_absolute_url()).content.decode()
    settle(mx1)
    assert 'data-live="true"' in client.get(found.get_absolute_url()).content.decode()


def test_a_page_that_waits_is_loaded_anew_when_the_state_is_another(client, alice, domain):
    found = imported(domain, f"username,password\nben,{QUOTED}\n", alice)
    was = {
        state: client.get(f"{found.get_absolute_url()}?was={state}", headers={"HX-Request": "true"})
        for state in ("importing", "done")
    }
    assert was["importing"].headers["HX-Refresh"] == "true"
    assert "HX-Refresh" not in was["done"].headers


def test_stranger_gets_404(as_, mallory, other, domain):
    found = made_of(domain, f"username,password\nben,{QUOTED}\n")
    client = as_(mallory)
    own = URL.replace("/c/acme/", "/c/other/")
    for base in (URL, own):
        assert client.post(f"{base}add/").status_code == 404
        assert client.post(f"{base}{found.pk}/confirm/").status_code == 404
        assert client.post(f"{base}{found.pk}/discard/").status_code == 404
    assert MailboxImport.objects.get().status == "ready"


def test_one_domain_does_not_reach_anothers_import(client, served, domain):
    second = served.domains.create(name="second.test")
    found = made_of(second, f"username,password\nben,{QUOTED}\n")
    assert client.post(f"{URL}{found.pk}/confirm/").status_code == 404


def test_reader_gets_403(as_, bob, domain):
    assert as_(bob).get(f"{URL}add/").status_code == 403
    assert upload(as_(bob), f"username,password\nben,{QUOTED}\n").status_code == 403
    assert not MailboxImport.objects.exists()


def test_twice_is_harmless(domain, alice):
    found = imported(domain, f"username,password\nben,{QUOTED}\n", alice)
    assert not found.confirm(by=alice)
    assert not found.discard(by=alice)
    assert not applying.work(found.pk)
    assert AuditEntry.objects.filter(action="mailbox.import").count() == 1


def test_the_same_file_again_changes_nothing(domain, alice, mx1):
    text = f"username,name,quota_mb,password\nben,Ben,5,{PASSWORD}\ncy,=Cy,0,{BCRYPT}\n"
    imported(domain, text, alice)
    before = list(domain.mailboxes.values_list("pk", "name", "quota_mb", "password_hash"))
    mx1.refresh_from_db()

    again = made_of(domain, text)

    assert figures(again) == (0, 0, 2, 0)
    with pytest.raises(Exception, match="Nothing in this file changes"):
        again.confirm(by=alice)
    assert list(domain.mailboxes.values_list("pk", "name", "quota_mb", "password_hash")) == before
    assert mx1.revision == type(mx1).objects.get().revision


def test_passwords_are_compared_before_anybody_confirms(client, domain, alice):
    imported(domain, f"username,password\nben,{PASSWORD}\ncy,{PASSWORD}\n", alice)
    text = f"username,quota_mb,password\nben,7,{PASSWORD}\ncy,,{PASSWORD} anew\n"
    upload(client, text)
    found = domain.mailbox_imports.get(finished_at=None)
    assert found.status == "comparing"
    refused = client.post(f"{URL}{found.pk}/confirm/")
    assert refused.status_code == 422
    assert "still being compared" in refused.content.decode()

    applying.work(found.pk)

    page = client.get(found.get_absolute_url()).content.decode()
    assert 'data-status="ready"' in page
    assert page.count("password</td>") == 1
    found.refresh_from_db()
    found.confirm(by=alice)
    old = domain.mailboxes.get(local_part="ben").password_hash
    applying.work(found.pk)
    ben, cy = domain.mailboxes.get(local_part="ben"), domain.mailboxes.get(local_part="cy")
    assert (ben.quota_mb, ben.password_hash) == (7, old)
    assert verifies(f"{PASSWORD} anew", cy.password_hash)


def test_gives_way_to_others():
    """Threads that hash are nicer than the process around them, and no more than the cores are there for."""
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    nice = set(
        applying.at_leisure(lambda _: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), range(9))
    )
    assert nice == {min(19, mine + applying.GIVES_WAY)}
    assert os.getpriority(os.PRIO_PROCESS, 0) == mine


def test_hashes_that_others_made_are_not_computed(domain, alice, monkeypatch):
    """50,000 of them, each as dear as may be, would keep the cores for hours."""
    dear = "{ARGON2ID}$argon2id$v=19$m=65536,t=4,p=4$c29tZXNhbHRzb21lc2FsdA$n4kmcrRBeVsZzFYxhZLqmRA8yKkHeYcPXaT2d5v1sYI"
    imported(domain, f'username,password\nben,"{dear}"\n', alice)
    monkeypatch.setattr(applying, "verifies", None)
    found = made_of(domain, f"username,password\nben,{PASSWORD}\n")
    assert (found.status, figures(found)) == ("ready", (0, 1, 0, 0))


@pytest.mark.parametrize("cell", [QUOTED, PASSWORD])
def test_a_password_ends_the_invitation_to_set_it(as_, domain, alice, anna, cell):
    waiting = domain.add_mailbox("ben", invite="ben@elsewhere.example", by=alice)
    invite_owner(anna, "anna@elsewhere.example", by=alice)
    imported(domain, f"username,quota_mb,password\nben,5,{cell}\nanna,5,\n", alice)
    waiting.refresh_from_db()
    assert waiting.password_awaited_since is None
    assert waiting.invitation is None
    assert waiting.invitations.get().revoked_at
    assert anna.invitation, "whose password the file does not set is still invited"
    assert "Waiting for" not in as_(alice).get(waiting.get_absolute_url()).content.decode()


def test_no_clear_password_stands_anywhere(domain, alice):
    found = made_of(domain, f"username,password\nben,{PASSWORD}\n")
    with connection.cursor() as cursor:
        cursor.execute("SELECT content FROM domains_importchunk")
        stored = cursor.fetchone()[0]
    assert PASSWORD not in stored
    assert PASSWORD in ImportChunk.objects.get().content
    found.confirm(by=alice)
    applying.work(found.pk)
    assert not ImportChunk.objects.exists()
    assert not AuditEntry.objects.filter(after__icontains=PASSWORD).exists()


def test_what_nobody_confirms_is_forgotten(domain):
    found = made_of(domain, f"username,password\nben,{PASSWORD}\n")
    forget_old_imports()
    assert MailboxImport.objects.exists()
    MailboxImport.objects.filter(pk=found.pk).update(created_at="2020-01-01T00:00Z")
    forget_old_imports()
    assert not MailboxImport.objects.exists()
    assert not ImportChunk.objects.exists()


def test_another_file_takes_the_place_of_an_unconfirmed_one(client, domain, alice):
    upload(client, f"username,password\nben,{QUOTED}\n")
    upload(client, f"username,password\ncy,{QUOTED}\n")
    found = domain.mailbox_imports.get()
    found.confirm(by=alice)
    refused = upload(client, f"username,password\nben,{QUOTED}\n")
    assert refused.status_code == 422
    assert "Another file is being imported" in refused.content.decode()
    assert 'id="id_file_error"' in refused.content.decode()


def test_discarded(client, domain):
    upload(client, f"username,password\nben,{QUOTED}\n")
    found = domain.mailbox_imports.get()
    response = client.post(f"{URL}{found.pk}/discard/")
    assert response["Location"] == f"{BASE}acme.test/mailboxes/"
    assert not MailboxImport.objects.exists()


def test_discarded_half_way(client, domain, alice, monkeypatch):
    text = "username,password\n" + "".join(f"m{n},{QUOTED}\n" for n in range(BATCH + 1))
    found = made_of(domain, text)
    found.confirm(by=alice)
    applying.work(found.pk, seconds=0)
    client.post(f"{URL}{found.pk}/discard/")
    assert not applying.work(found.pk)
    assert domain.mailboxes.count() == BATCH
    found.refresh_from_db()
    assert (found.status, found.done) == ("done", BATCH)


def test_plan_is_used_up_before_it_begins(client, acme, domain, anna):
    sell_as(acme, mailboxes=2)
    location = upload(client, f"username,password\nben,{QUOTED}\ncy,{QUOTED}\n")["Location"]
    assert "Your plan holds 2 mailboxes, and 1" in client.get(location).content.decode()
    response = client.post(f"{location}confirm/")
    assert response.status_code == 422
    assert "Your plan holds 2 mailboxes, and 1" in response.content.decode()


def test_plan_is_used_up_meanwhile(client, acme, domain, alice):
    sell_as(acme, mailboxes=2)
    found = made_of(domain, f"username,password\nben,{QUOTED}\ncy,{QUOTED}\n")
    found.confirm(by=alice)
    domain.add_mailbox("early", password_hash=HASH, by=None)
    applying.work(found.pk)
    assert domain.mailboxes.count() == 1
    page = client.get(found.get_absolute_url()).content.decode()
    assert 'data-status="stopped"' in page
    assert "Your plan holds 2 mailboxes, and 1" in page
    sell_as(acme, mailboxes=None)
    assert client.post(f"{URL}{found.pk}/confirm/").status_code == 302
    applying.work(found.pk)
    assert domain.mailboxes.count() == 3


@pytest.mark.parametrize("end", ["deleted", "suspended"])
def test_what_ends_meanwhile_stops_it(acme, domain, alice, end):
    found = made_of(domain, f"username,password\nben,{QUOTED}\n")
    found.confirm(by=alice)
    domain.delete(by=None) if end == "deleted" else acme.suspend(reason="Unpaid.", by=None)
    applying.work(found.pk)
    found.refresh_from_db()
    assert found.status == "stopped"
    assert end in found.stopped
    assert not domain.mailboxes.exists()


def test_what_came_or_went_meanwhile_is_passed_over(domain, anna, alice):
    found = made_of(domain, f"username,quota_mb,password\nanna,5,\nben,5,{QUOTED}\ncy,5,{QUOTED}\n")
    found.confirm(by=alice)
    anna.delete(by=None)
    mine = domain.add_mailbox("ben", PASSWORD, by=None)
    applying.work(found.pk)
    found.refresh_from_db()
    assert (found.done, found.skipped, found.status) == (3, 2, "done")
    assert domain.mailboxes.live().get(local_part="ben").password_hash == mine.password_hash
    assert list(domain.mailboxes.live().values_list("local_part", flat=True)) == ["ben", "cy"]


def test_quota_above_the_plan_is_refused(domain, anna):
    found = made_of(domain, f"username,quota_mb,password\nanna,10241,\nben,10241,{QUOTED}\n")
    assert figures(found) == (0, 0, 0, 2)
    assert "Your plan holds 10240 MB" in found.faults[0][1]


def test_pages_cost_the_same_for_many(client, domain, django_assert_max_num_queries):
    location = upload(client, "username,password\n" + "".join(f"m{n},{QUOTED}\n" for n in range(2_000)))[
        "Location"
    ]
    with django_assert_max_num_queries(12):
        assert client.get(location).content.decode().count("<tr>") == 51


@pytest.mark.soak
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_killed_worker_doubles_nothing(domain, alice):
    """Killed again and again, the next one goes on where whole batches ended."""
    dice, batches, killed = new_dice(), kills(6, 100), 0
    count = batches * BATCH
    found = made_of(domain, "username,password\n" + "".join(f"m{n},{QUOTED}\n" for n in range(count)))
    found.confirm(by=alice)
    while not found.finished_at:
        process, before = worker(found, "domains.mailbox_csv.applying.work"), found.done
        while found.done == before:
            time.sleep(0.01)
            found.refresh_from_db()
        time.sleep(dice.random() / 10)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
        found.refresh_from_db()
    assert (found.done, found.skipped, domain.mailboxes.count()) == (count, 0, count)
    assert AuditEntry.objects.filter(action="mailbox.import").count() == batches
    report("worker killed in an import", dice, kills=killed)
