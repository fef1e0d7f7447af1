"""Panel and node one version apart, in both directions, with real agents."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from domains.driver import agent as client
from domains.driver.digests import digest
from domains.driver.meeting import try_again
from domains.driver.outcomes import want_rebuild
from domains.driver.rebuilding import rebuild
from domains.driver.sync import sync
from domains.models import Incident, ServerSync
from domains.tasks import pull_server
from foundation.outbound import Reply, fetch
from mailnode.wire import WIRE
from tests.domains.conftest import HASH, fresh
from tests.domains.settling import settled

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]

# The previous wire: no digests, rows or rebuild, and a status without what came with them.
OLDER_NODE = """
wire.WIRE, wire.WIRES = 1, (1, 1)
from aiohttp import web
from mailnode import agent
real = agent.Agent.application
async def missing(request): raise web.HTTPNotFound
def application(self):
    for name in ("get_digests", "get_rows", "post_rebuild"): setattr(self, name, missing)
    return real(self)
agent.Agent.application = application
"""
WITHOUT_STATES = "del wire.KINDS['state']"


@pytest.fixture
def older(agent, server, hosted) -> Iterator[Any]:
    """mx1 with the previous mailnode."""
    agent.kill()
    agent.start(OLDER_NODE)
    pull_server(server.pk)
    return agent


def test_changes_reach_a_node_of_the_previous_wire(older, server, hosted, alice):
    assert fresh(server).sync.wire == 1
    anna = hosted.add_mailbox("anna", password_hash=HASH, by=alice)
    anna.suspend(by=alice)
    hosted.add_mailbox("ben", password_hash=HASH, by=alice).delete(by=alice)
    sync(server.pk)
    assert settled(older, server)


def test_what_it_cannot_do_waits_for_its_upgrade(older, server, hosted):
    want_rebuild(server, "Because")
    rebuild(server.pk)
    assert "upgrade mailnode there first" in fresh(server).sync.failure
    digest(server.pk)
    older.kill()
    older.start()
    ServerSync.objects.update(retry_at=None)
    rebuild(server.pk)
    assert fresh(server).sync.rebuild_wanted_at is None
    assert fresh(server).sync.wire == WIRE
    assert settled(older, server)


@pytest.mark.parametrize("verb", ["rebuild", "digest"])
def test_what_it_cannot_do_is_not_taken_on(older, server, hosted, as_, sam, verb):
    """Staff are told, and changes do not wait for what cannot be."""
    with pytest.raises(ValidationError, match="Update mailnode there"):
        getattr(fresh(server), f"ask_{verb}")(by=sam)
    page = as_(sam).post(f"/admin/domains/mailserver/{server.pk}/{verb}/", follow=True).content.decode()
    assert "Update mailnode there" in page
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    sync(server.pk)
    assert settled(older, server)


def test_a_node_that_is_put_back_to_the_previous_version(agent, server, hosted):
    assert fresh(server).sync.wire == WIRE
    agent.kill()
    agent.start(OLDER_NODE)
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    sync(server.pk)
    assert f"wire version {WIRE} is not spoken here" in fresh(server).sync.failure
    try_again(server.pk)
    assert fresh(server).sync.failed_at is None
    assert settled(agent, server)


def test_an_unknown_kind_is_refused_whole_and_alarms_until_the_node_knows_it(agent, server, hosted):
    agent.kill()
    agent.start(WITHOUT_STATES)
    before = agent.point
    anna = hosted.add_mailbox("anna", password_hash=HASH, by=None)
    anna.suspend(by=None)
    sync(server.pk)
    assert agent.point == before
    incident = Incident.objects.get(kind="refused")
    state = anna.suspensions.get().pk.hex
    assert incident.rows[0][:2] == ["state", state]
    assert "unknown kind state" in incident.text
    agent.kill()
    agent.start()
    sync(server.pk)
    assert settled(agent, server)
    assert Incident.objects.get(kind="refused").closed_at


def test_fields_of_a_newer_node_are_passed_over(agent, server, hosted, monkeypatch):
    """Every answer has one that this panel does not know."""

    def newer(*args: Any, **options: Any) -> Reply:
        reply = fetch(*args, **options)
        body = {**json.loads(reply.body), "mood": {"today": "good"}}
        if "wires" in body:
            body["wires"] = [2, WIRE + 1]
        return Reply(reply.status, reply.headers, json.dumps(body).encode())

    monkeypatch.setattr(client, "fetch", newer)
    pull_server(server.pk)
    assert fresh(server).sync.wire == WIRE
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    sync(server.pk)
    want_rebuild(server, "Because")
    rebuild(server.pk)
    assert fresh(server).sync.rebuild_wanted_at is None
    assert settled(agent, server)


def test_fields_of_a_newer_panel_are_passed_over(agent, server, hosted, monkeypatch):
    """Every body has one that this node does not know, and so has every row."""

    def newer(method: str, url: str, *, data: bytes | None = None, **options: Any) -> Reply:
        if data is not None:
            body = {**json.loads(data), "haste": 3}
            body["rows"] = [
                {**row, "data": row["data"] and {**row["data"], "colour": "blue"}} for row in body["rows"]
            ]
            data = json.dumps(body).encode()
        return fetch(method, url, data=data, **options)

    monkeypatch.setattr(client, "fetch", newer)
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    sync(server.pk)
    assert settled(agent, server)
    want_rebuild(server, "Because")
    rebuild(server.pk)
    assert settled(agent, server)
