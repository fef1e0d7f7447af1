"""Hints: one pending for each server, and harmless whatever is away."""

from unittest import mock

import pytest
from kombu.exceptions import OperationalError

from domains.driver import hints
from domains.models import MailServer
from domains.tasks import pull_server, sweep_servers, sync_server, sync_slow_server
from tests.domains.conftest import BASE, HASH, PASSWORD


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """What was handed to the broker."""
    for server in (7, 8):
        hints.taken(server)
    send = mock.Mock()
    monkeypatch.setattr(hints.current_app, "send_task", send)
    return send


@pytest.fixture
def no_redis(settings) -> None:
    settings.CACHES = {
        **settings.CACHES,
        "volatile": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:9/0",
        },
    }


def test_one_is_pending_until_it_is_taken(sent):
    for _ in range(3):
        hints.hint(7)
    assert sent.call_count == 1
    hints.taken(7)
    hints.hint(7)
    assert sent.call_count == 2
    hints.hint(8)
    assert sent.call_args == mock.call("domains.tasks.sync_server", args=[8], expires=60)


@pytest.mark.usefixtures("no_redis")
def test_without_redis_each_is_sent(sent):
    hints.hint(7)
    hints.hint(7)
    hints.taken(7)
    assert sent.call_count == 2


@pytest.mark.usefixtures("no_redis")
def test_without_a_broker_the_page_is_saved_all_the_same(
    as_, alice, domain, sent, django_capture_on_commit_callbacks
):
    sent.side_effect = OperationalError("away")
    client = as_(alice)
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(f"{BASE}acme.test/mailboxes/add/", {"username": "ben", "password": PASSWORD})
    assert response.status_code == 302
    assert sent.called
    assert domain.mailboxes.filter(local_part="ben").exists()


@pytest.mark.django_db
def test_the_sweep_finds_what_was_lost(domain, mx1, sent):
    domain.add_mailbox("anna", password_hash=HASH, by=None)
    hints.taken(mx1.pk)
    sweep_servers()
    assert sent.call_args == mock.call("domains.tasks.sync_server", args=[mx1.pk], expires=60)
    sent.reset_mock()
    hints.taken(mx1.pk)
    MailServer.objects.filter(pk=mx1.pk).update(revision=0)
    sweep_servers()
    assert not sent.called


@pytest.mark.django_db
def test_tasks_of_unknown_servers_are_harmless(sent):
    for task in (sync_server, sync_slow_server, pull_server):
        task(10**9)
