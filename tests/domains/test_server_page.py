"""The page of a mail server: what it shows, and what staff ask of a server there."""

import pytest
from celery import current_app
from django.contrib.auth.models import Permission
from django.core.cache import caches
from django.utils import timezone

from accounts.models import AuditEntry
from domains.models import IncidentKind, ServerSync, open_incident
from tests.domains.conftest import settle

REPORTED = {
    "version": "1.4.0",
    "wires": [1, 2],
    "queue": 12,
    "rows": {"mailbox": 1234, "domain": 56},
    "lag_error": None,
    "disk_total": 100 * 2**30,
    "disk_free": 40 * 2**30,
    "revision": 1,
    "certificate_not_after": int(timezone.now().timestamp()) + 30 * 86400 + 7200,
    "agent_not_after": 2**53,  # a lie that no calendar holds
    "services": {"postfix": True, "rspamd": False},
}


@pytest.fixture
def page(mx1):
    return f"/admin/domains/mailserver/{mx1.pk}/"


@pytest.fixture
def sent(monkeypatch, django_capture_on_commit_callbacks):
    """The tasks that were hinted, after their commits."""
    names = []
    caches["volatile"].clear()  # of hints that another test has left
    monkeypatch.setattr(current_app, "send_task", lambda name, args, **_: names.append((name, *args)))
    return names


def post(client, url, capture):
    with capture(execute=True):
        return client.post(url)


def test_all_that_is_known_is_shown(as_, sam, mx1, page):
    settle(mx1)
    ServerSync.objects.update(
        reported=REPORTED, reported_at=timezone.now(), contact_at=timezone.now(), wire=2
    )
    open_incident(IncidentKind.SERVICE, "rspamd on mx1", "rspamd does not answer.", server=mx1)
    text = " ".join(as_(sam).get(f"{page}change/").content.decode().split())
    for words in (
        "mailnode 1.4.0, wire 2",
        "mailbox 1,234",
        "12 messages",
        "free of 100.0 GB",
        "30 days left",
        "rspamd does not answer.",
        "1 wished, 1 sent, 1 effective",
        "takes new customers",
        "Last contact",
        "Digest now",
        "Sync now",
        "Rebuild…",
    ):
        assert words in text, words
    assert mx1.agent_key not in text
    assert "hx-get" not in text


def test_a_server_that_never_reported(as_, sam, mx1, page):
    text = as_(sam).get(f"{page}change/").content.decode()
    assert "It has reported nothing yet." in text
    assert "Not in service yet" in text


def test_a_rebuild_is_asked_for_after_a_question(
    as_, sam, mx1, page, sent, django_capture_on_commit_callbacks
):
    client = as_(sam)
    assert "No mail is removed." in client.get(f"{page}rebuild/").content.decode()
    assert not AuditEntry.objects.filter(action="server.rebuild").exists()
    for _ in range(2):  # the second changes nothing
        answer = post(client, f"{page}rebuild/", django_capture_on_commit_callbacks)
        assert answer["Location"] == f"{page}change/"
    mx1.sync.refresh_from_db()
    assert mx1.sync.rebuild_wanted_at
    assert mx1.sync.rebuild_reason == "Asked for by staff."
    assert AuditEntry.objects.get(action="server.rebuild").by == sam
    assert sent == [("domains.tasks.rebuild_server", mx1.pk)]


def test_progress_is_shown_and_followed(as_, sam, mx1, page):
    ServerSync.objects.update(
        rebuild_wanted_at=timezone.now(), rebuild_rows=4_000, rebuild_total=105_000, rebuild_reason="Empty."
    )
    client = as_(sam)
    for url in (f"{page}change/", f"{page}progress/"):
        text = " ".join(client.get(url).content.decode().split())
        assert '<progress id="rebuild" value="4000" max="105000"' in text
        assert "4,000 of 105,000 rows sent" in text
        assert f'hx-get="{page}progress/"' in text
        assert "Look again" in text  # without JavaScript


def test_a_digest_is_asked_for(as_, sam, mx1, page, sent, django_capture_on_commit_callbacks):
    client = as_(sam)
    for _ in range(2):
        post(client, f"{page}digest/", django_capture_on_commit_callbacks)
    mx1.sync.refresh_from_db()
    assert mx1.sync.digest_wanted_at
    assert AuditEntry.objects.filter(action="server.digest", by=sam).count() == 1
    assert sent == [("domains.tasks.digest_server", mx1.pk)]


def test_a_sync_is_asked_for(as_, sam, mx1, page, sent):
    assert as_(sam).post(f"{page}sync/").status_code == 302
    assert sent == [("domains.tasks.sync_server", mx1.pk)]


def test_a_halted_sync_goes_on(as_, sam, mx1, page):
    ServerSync.objects.update(halted_at=timezone.now(), halted_reason="A mark was never given.")
    client = as_(sam)
    assert "A mark was never given." in client.get(f"{page}change/").content.decode()
    client.post(f"{page}resume/")
    mx1.sync.refresh_from_db()
    assert mx1.sync.halted_at is None
    assert "is not halted" in client.post(f"{page}resume/", follow=True).content.decode()


def test_staff_who_may_only_look_ask_for_nothing(as_, sam, mx1, page):
    sam.is_superuser = False
    sam.save()
    sam.user_permissions.add(Permission.objects.get(codename="view_mailserver"))
    client = as_(sam)
    text = client.get(f"{page}change/").content.decode()
    assert "Digest now" not in text
    assert client.get(f"{page}progress/").status_code == 200
    for verb in ("rebuild", "digest", "sync", "resume"):
        assert client.post(f"{page}{verb}/").status_code == 403
    assert not AuditEntry.objects.filter(action__startswith="server.").exists()
