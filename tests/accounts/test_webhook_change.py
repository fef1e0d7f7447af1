import time

import pytest

from accounts.models import AuditEntry


@pytest.fixture
def path(webhook):
    return f"{webhook.get_absolute_url()}change/"


def test_works(as_, alice, webhook, path):
    form = {"url": "https://new.example.com/", "groups": ["orders"]}
    client, secret = as_(alice), webhook.secret
    assert webhook.url in client.get(path).content.decode()
    assert client.post(path, form)["Location"] == webhook.get_absolute_url()
    webhook.refresh_from_db()
    assert (webhook.url, webhook.groups, webhook.secret) == (form["url"], ["orders"], secret)
    entry = AuditEntry.objects.get(action="webhook.change")
    assert (entry.before["groups"], entry.after["groups"]) == (["mailboxes", "orders"], ["orders"])


def test_stranger_gets_404(as_, mallory, other, path):
    assert as_(mallory).post(path).status_code == 404
    assert as_(mallory).post(path.replace("/acme/", "/other/")).status_code == 404


def test_a_reader_gets_403(as_, bob, path):
    assert as_(bob).post(path).status_code == 403


def test_twice_changes_nothing(as_, alice, path):
    for _ in range(2):
        as_(alice).post(path, {"url": "https://new.example.com/", "groups": ["orders"]})
    assert AuditEntry.objects.filter(action="webhook.change").count() == 1


def test_wrong_values(as_, alice, webhook, path):
    answer = as_(alice).post(path, {"url": "https://127.0.0.1:1/", "groups": ["orders"]})
    assert answer.status_code == 422
    assert 'id="id_url_error"' in answer.content.decode()
    assert not AuditEntry.objects.filter(action="webhook.change").exists()


def test_where_events_go_is_changed_only_by_who_proves_again_who_they_are(
    as_, alice, webhook, path, monkeypatch
):
    client = as_(alice)
    later = time.time() + 15 * 60 + 1
    monkeypatch.setattr("accounts.adapter.time.time", lambda: later)
    for asked in (path, f"{webhook.get_absolute_url()}rotate/", "/c/acme/webhooks/add/"):
        answer = client.post(asked, {"url": "https://new.example.com/", "groups": ["orders"]})
        assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert not AuditEntry.objects.filter(action__in=["webhook.change", "webhook.rotate"]).exists()
