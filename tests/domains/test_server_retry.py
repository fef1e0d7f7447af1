"""A server whose last call failed: asked from the slow queue, ever less often, and in nobody's way."""

import json
import threading
from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection
from django.utils import timezone

from domains.driver import hints, outcomes
from domains.driver.agent import Agent, AgentError, Refused
from domains.driver.alone import PULL, alone
from domains.driver.outcomes import failed
from domains.driver.sync import sync
from domains.models import Incident, IncidentKind, MailServer, ServerSync
from domains.tasks import pull_server, pull_usage, sweep_servers, sync_server, sync_slow_server
from foundation.outbound import Reply
from mailnode import wire
from tests.domains.conftest import make_server

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

AWAY = AgentError("mx1 is away", retry=True)
STATUS = {
    "wire": 2, "wires": [1, 2], "version": "1", "name": "mx1.mxpanel.test", "revision": 0, "mark": "", "effective": 0,
    "services": [], "disk": {"total": 1, "free": 1}, "queue": 0, "certificate_not_after": 0, "rows": {},
    "lag_error": None, "time": 0,
}  # fmt: skip


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """What was handed to the broker."""
    send = mock.Mock()
    monkeypatch.setattr(hints.current_app, "send_task", send)
    return send


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """What agents answer: to a status STATUS, to changes that they are applied; every call is noted."""

    def answer(method: str, url: str, data: bytes | None = None, **options: object) -> Reply:
        body = STATUS
        if data:
            revision = json.loads(data)["revision"]
            body = {"revision": revision, "effective": revision}
        return Reply(200, {}, json.dumps(body).encode())

    fetch = mock.Mock(side_effect=answer)
    monkeypatch.setattr("domains.driver.agent.fetch", fetch)
    return fetch


def state(server: MailServer) -> ServerSync:
    return ServerSync.objects.get(server=server)


def try_again(server: MailServer) -> None:
    """The pause is over."""
    ServerSync.objects.update(retry_at=timezone.now())
    sync_slow_server(server.pk)


def fail(server: MailServer, error: AgentError = AWAY) -> float:
    """A call fails; seconds until the next attempt."""
    server.refresh_from_db()
    failed(server, error)
    return (state(server).retry_at - timezone.now()).total_seconds()


def test_a_failed_call_moves_the_server_to_the_slow_queue_and_success_back(mx1, answers, sent):
    fail(mx1)
    sync_server(mx1.pk)
    assert not answers.called
    sweep_servers()
    assert not sent.called
    ServerSync.objects.update(retry_at=timezone.now())
    sweep_servers()
    sweep_servers()  # asked for once
    assert sent.call_args_list == [mock.call("domains.tasks.sync_slow_server", args=[mx1.pk], expires=60)]
    try_again(mx1)
    found = state(mx1)
    assert (found.failed_at, found.failure, found.failures, found.retry_at) == (None, "", 0, None)
    assert found.effective == MailServer.objects.get().revision == 1
    assert found.wire == 2


def test_a_server_that_owes_nothing_comes_back_too(mx1, answers):
    ServerSync.objects.update(confirmed_revision=1, effective=1)
    MailServer.objects.update(revision=0)
    ServerSync.objects.update(confirmed_revision=0, effective=0)
    fail(mx1)
    try_again(mx1)
    assert state(mx1).failed_at is None


def test_a_doubled_task_asks_once(mx1, monkeypatch):
    status = mock.Mock(side_effect=AWAY)
    monkeypatch.setattr(Agent, "status", status)
    fail(mx1)
    sync_slow_server(mx1.pk)
    assert not status.called
    try_again(mx1)
    sync_slow_server(mx1.pk)
    assert status.call_count == 1


def test_deadlines_are_short_while_it_is_well(mx1, answers, settings):
    sync_server(mx1.pk)
    assert {call.kwargs["deadline"] for call in answers.call_args_list} == {settings.AGENT_FAST_DEADLINE}
    answers.reset_mock()
    MailServer.objects.update(revision=2)
    fail(mx1)
    ServerSync.objects.update(confirmed_revision=0, confirmed_mark="")
    try_again(mx1)
    deadlines = [call.kwargs["deadline"] for call in answers.call_args_list]
    assert deadlines == [settings.AGENT_FAST_DEADLINE, settings.AGENT_DEADLINE]


def test_pauses_grow_to_three_seconds(mx1):
    since = None
    pauses = []
    for _ in range(40):
        pauses.append(fail(mx1))
        since = since or state(mx1).failed_at
    assert pauses[0] < 1.01
    assert 2.2 < pauses[-1] < 3.01
    assert (state(mx1).failures, state(mx1).failed_at) == (40, since)


def test_many_that_fail_are_asked_less_often(mx1):
    for number in range(100):
        ServerSync.objects.filter(server=make_server(f"m{number}.test")).update(failed_at=timezone.now())
    assert max(fail(mx1) for _ in range(12)) > 100


def test_a_refusal_is_tried_ever_more_slowly_and_named(mx1, answers):
    error = Refused("mx1 refused (422): unknown kind alias", "alias", "a" * 32)
    assert max(fail(mx1, error) for _ in range(12)) > 40
    incident = Incident.objects.get(kind=IncidentKind.REFUSED)
    assert incident.rows == [["alias", "a" * 32, str(error)]]
    assert incident.closed_at is None
    try_again(mx1)
    assert Incident.objects.get().closed_at


def test_reports_are_asked_of_servers_that_are_well(mx1, answers, monkeypatch):
    asked = mock.Mock()
    monkeypatch.setattr(pull_server, "apply_async", asked)
    pull_usage()
    assert asked.call_count == 1
    fail(mx1)
    pull_usage()
    assert asked.call_count == 1


def test_beside_another_pull_nothing_is_asked(mx1, answers):
    asked = threading.Event()

    def pull_beside() -> None:
        pull_server(mx1.pk)
        connection.close()
        asked.set()

    with alone(PULL, mx1.pk):
        threading.Thread(target=pull_beside).start()
        assert asked.wait(10)
    assert not answers.called


def test_a_failed_report_is_a_failed_call(mx1, monkeypatch):
    monkeypatch.setattr(Agent, "status", mock.Mock(side_effect=AWAY))
    pull_server(mx1.pk)
    assert state(mx1).failures == 1


def test_a_halted_server_is_asked_how_it_is_and_stays_halted(mx1, answers):
    ServerSync.objects.update(halted_at=timezone.now(), confirmed_revision=7, confirmed_mark="x")
    fail(mx1)
    try_again(mx1)
    found = state(mx1)
    assert found.halted_at
    assert found.failed_at is None
    assert (found.confirmed_revision, found.reported["version"]) == (7, "1")


def test_another_servers_answer_is_none(mx1, answers):
    fail(make_server("mx2.mxpanel.test"))
    try_again(MailServer.objects.get(name="mx2.mxpanel.test"))
    assert "another server's answer" in ServerSync.objects.exclude(server=mx1).get().failure


def test_one_version_apart_and_no_more(mx1, monkeypatch):
    low, high = wire.WIRES
    apart = (([low, low], low), ([low, high], high), ([high, high + 1], high), ([low - 1, high + 7], high))
    for wires, spoken in apart:
        body = json.dumps(STATUS | {"wires": wires}).encode()
        monkeypatch.setattr("domains.driver.agent.fetch", lambda *a, body=body, **k: Reply(200, {}, body))
        ServerSync.objects.update(failed_at=timezone.now())
        try_again(mx1)
        assert state(mx1).wire == spoken
    body = json.dumps(STATUS | {"wires": [high + 1, high + 2]}).encode()
    monkeypatch.setattr("domains.driver.agent.fetch", lambda *a, **k: Reply(200, {}, body))
    pull_server(mx1.pk)
    assert "Upgrade the older one" in state(mx1).failure


def test_what_is_newer_than_the_node_is_not_asked_of_it(mx1):
    page = wire.Rebuild(wire=2, rebuild="0" * 32, revision=1, mark="a", seq=0, rows=[], last=True)
    agent = Agent(mx1)
    for call in (lambda: agent.rebuild(page), lambda: agent.digests(""), lambda: agent.rows("")):
        with pytest.raises(AgentError, match="upgrade mailnode"):
            call()


def test_a_row_that_the_wire_does_not_carry_is_named(anna, mx1):
    type(anna).objects.update(password_hash="{PLAIN}clear-text")
    sync(mx1.pk)
    incident = Incident.objects.get(kind=IncidentKind.REFUSED)
    assert incident.rows[0][:2] == ["mailbox", anna.pk.hex]
    assert "clear-text" not in incident.text
    assert state(mx1).retry_at > timezone.now() - timedelta(seconds=1)
    assert outcomes.LONGEST_PAUSE < outcomes.LONGEST_PAUSE_OF_A_REFUSAL
