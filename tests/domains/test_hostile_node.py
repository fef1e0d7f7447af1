"""What a server says that lies or is broken: bounded, refused, and never in the way of others."""

import json
import threading
import time
from itertools import count
from types import SimpleNamespace

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from billing import entitlements
from domains.driver import sync as syncing
from domains.driver import watching
from domains.driver.agent import Agent, AgentError
from domains.driver.points import forget_old_marks
from domains.driver.sync import sync
from domains.models import MailServer, ServerMark, ServerSync
from foundation.outbound import Reply
from mailnode import wire
from tests.domains.conftest import HASH

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def answering(monkeypatch: pytest.MonkeyPatch, status: int, body: object) -> None:
    """Every call of every agent is answered so."""
    reply = Reply(status, {}, json.dumps(body).encode())
    monkeypatch.setattr("domains.driver.agent.fetch", lambda *args, **kwargs: reply)


STATUS = {
    "wire": 1, "wires": [1, 1], "version": "1", "name": "mx1.mxpanel.test", "revision": 1, "mark": "", "effective": 1,
    "services": [], "disk": {"total": 1, "free": 1}, "queue": 0, "certificate_not_after": 0, "rows": {},
    "lag_error": None, "time": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    "lie",
    [
        {"version": "1\0"}, {"lag_error": "\0"}, {"rows": {"x" * 10_000: 1}}, {"rows": {"a\0": 1}},
        {"effective": -1}, {"revision": 2**60}, {"services": [{"name": "\0", "running": True}]},
    ],
)  # fmt: skip
def test_a_status_out_of_bounds_is_no_status(mx1, monkeypatch, lie):
    answering(monkeypatch, 200, STATUS | lie)
    with pytest.raises(AgentError, match="not understood"):
        watching.pull_status(mx1)
    assert not ServerSync.objects.get(server=mx1).reported


def test_a_refusal_with_nul_is_noted_all_the_same(mx1, monkeypatch):
    answering(monkeypatch, 422, {"error": "no\0thing"})
    sync(mx1.pk)
    assert "422" in ServerSync.objects.get(server=mx1).failure


@pytest.mark.parametrize(
    "applied", [{"revision": 10**6, "effective": 10**6}, {"revision": 0, "effective": 0}]
)
def test_a_revision_that_was_not_sent_confirms_nothing(mx1, monkeypatch, applied):
    answering(monkeypatch, 200, applied)
    sync(mx1.pk)
    state = ServerSync.objects.get(server=mx1)
    assert (state.confirmed_revision, state.effective) == (0, 0)
    assert state.failed_at


def test_effective_is_never_beyond_what_was_sent(mx1, monkeypatch):
    answering(monkeypatch, 200, {"revision": 1, "effective": 2**50})
    sync(mx1.pk)
    assert ServerSync.objects.get(server=mx1).effective == 1


def test_more_bytes_than_a_number_holds(domain, mx1, acme):
    made = [domain.add_mailbox(name, password_hash=HASH, by=None) for name in ("a", "b")]
    domain.mailboxes.update(used_bytes=2**62)
    page = [wire.Usage(mailbox=made[0].pk.hex, bytes=2**53, messages=1, last_sign_in=None)]
    domain.mailboxes.filter(pk=made[1].pk).update(used_bytes=2**63 - 1)
    watching.take_usage(mx1, page)
    assert entitlements.usage_report(acme)[0] == 2**63 - 1


def test_an_outage_leaves_one_pair(mx1, monkeypatch):
    """However often it is tried; another change meanwhile is another pair."""
    answering(monkeypatch, 503, {"error": "later"})
    for _ in range(4):
        sync(mx1.pk)
    assert ServerMark.objects.count() == 1
    MailServer.objects.update(revision=2)
    sync(mx1.pk)
    assert list(ServerMark.objects.order_by("revision").values_list("revision", flat=True)) == [1, 2]


def test_contradictions_keep_no_worker(mx1, monkeypatch):
    """It applies a page, and then says that it is empty: each is believable, and the two never end."""
    monkeypatch.setattr(syncing, "RUN_SECONDS", 0.3)
    status = json.dumps(STATUS | {"revision": 0, "effective": 0}).encode()
    applied = json.dumps({"revision": 1, "effective": 0}).encode()
    bodies = {"GET": status, "POST": applied}
    monkeypatch.setattr("domains.driver.agent.fetch", lambda method, *a, **k: Reply(200, {}, bodies[method]))
    began = time.monotonic()
    sync(mx1.pk)
    assert time.monotonic() - began < 5


def test_a_stream_without_end_keeps_no_worker(mx1, monkeypatch):
    monkeypatch.setattr(syncing, "RUN_SECONDS", 0.3)

    def changes(self: Agent, page: wire.Changes) -> wire.Applied:
        MailServer.objects.update(revision=F("revision") + 1)
        return wire.Applied(revision=page.revision, effective=page.revision)

    monkeypatch.setattr(Agent, "changes", changes)
    began = time.monotonic()
    sync(mx1.pk)
    assert time.monotonic() - began < 5
    assert not ServerSync.objects.get(server=mx1).failed_at


def test_pages_of_usage_without_end_keep_no_worker(mx1, monkeypatch):
    monkeypatch.setattr(watching, "PULL_SECONDS", 0.3)
    monkeypatch.setattr(watching, "pull_status", lambda server: None)
    pages = (SimpleNamespace(next=f"g.{number}", entries=[], sent=[]) for number in count())
    monkeypatch.setattr(Agent, "usage", lambda self, after: next(pages))
    began = time.monotonic()
    watching.pull(mx1)
    assert time.monotonic() - began < 5


def test_one_pull_of_a_server_at_a_time(mx1, monkeypatch):
    asked = []

    def status(server: MailServer) -> None:
        asked.append(server)
        if len(asked) == 1:
            other = threading.Thread(target=pull_and_close)
            other.start()
            other.join()

    def pull_and_close() -> None:
        watching.pull(mx1)
        connection.close()

    monkeypatch.setattr(watching, "pull_status", status)
    monkeypatch.setattr(watching, "pull_usage", lambda server, ends_at: None)
    watching.pull(mx1)
    watching.pull(mx1)
    assert len(asked) == 2


def test_old_pairs_are_forgotten_but_not_those_in_use(mx1):
    long_ago = timezone.now() - timezone.timedelta(days=181)
    for revision in range(1, 5):
        ServerMark.objects.create(server=mx1, revision=revision, mark=f"m{revision}", given_at=long_ago)
    ServerMark.objects.create(server=mx1, revision=1, mark="recent")
    ServerSync.objects.update(
        confirmed_revision=2, confirmed_mark="m2", pending_revision=4, pending_mark="m4"
    )
    forget_old_marks()
    assert set(ServerMark.objects.values_list("mark", flat=True)) == {"recent", "m2", "m4"}
