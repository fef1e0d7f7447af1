"""`manage.py server_renew`: another key and certificate, while everything goes on and whatever dies on the way."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from accounts.models import AuditEntry
from domains.driver.agent import Agent, AgentError, _session
from domains.driver.alone import RENEW, alone
from domains.driver.sync import sync
from domains.models import Domain, MailServer
from mailnode import wire
from tests.domains.conftest import HASH, fresh
from tests.domains.real_agent import RealAgent, in_step

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]
NAME = "mx1.mxpanel.test"


@pytest.fixture(autouse=True)
def keeper(agent: RealAgent) -> Iterator[None]:
    """The keeper of the agent runs, too; no renewal is left half done."""
    agent.start_keeper()
    yield
    agent.forget_renewal()


def assert_renewed(before: MailServer, agent: RealAgent) -> None:
    """The new ones alone are good, for the panel, the server's own files, and an enrolment from these."""
    after = fresh(before)
    assert after.agent_key != before.agent_key
    assert after.certificate_sha256 != before.certificate_sha256
    assert not after.next_agent_key
    assert not after.next_certificate_sha256
    Agent(after).status()
    for name in ("agent_key", "certificate_sha256"):
        stale = fresh(before)
        setattr(stale, name, getattr(before, name))
        with pytest.raises(AgentError):
            only(stale).status()
    agent.initialise_again()
    again = agent.enrol()
    assert (again.agent_key, again.certificate_sha256) == (after.agent_key, after.certificate_sha256)


def only(server: MailServer) -> Agent:
    """A client that knows these alone."""
    _session.cache_clear()  # a connection that was made before goes on
    client = Agent(server)
    server.refresh_from_db = lambda **_: None  # type: ignore[method-assign]
    return client


def test_both_are_renewed(agent: RealAgent, server: MailServer, capsys: pytest.CaptureFixture[str]) -> None:
    before = fresh(server)
    call_command("server_renew", NAME)
    assert_renewed(before, agent)
    assert fresh(server).certificate_sha256 in capsys.readouterr().out
    steps = AuditEntry.objects.filter(action="server.renew").order_by("at")
    assert [entry.after for entry in steps] == [{"step": "begun"}, {"step": "switched"}]
    assert before.agent_key not in str(list(AuditEntry.objects.values()))
    Agent(before).status()  # a process that read the server before finds its way


def test_again_and_again(agent: RealAgent, server: MailServer) -> None:
    for _ in range(3):
        before = fresh(server)
        call_command("server_renew", NAME)
        assert_renewed(before, agent)


def test_the_agent_starts_again_in_any_state(agent: RealAgent, server: MailServer) -> None:
    before = fresh(server)
    client = Agent(before)
    for step in ("begin", "switch"):
        client.renew(step)
        agent.kill()
        agent.initialise_again()
        agent.start()
        assert client._server.agent_key == before.agent_key
        if step == "switch":  # the panel has not noted the announced one: it is enrolled anew from the files
            agent.enrol()
        Agent(fresh(server)).status()
    call_command("server_renew", NAME)
    assert fresh(server).agent_key != before.agent_key
    assert not fresh(server).next_agent_key


STEPS = ("begin", "switch", "status", "end")


@pytest.mark.parametrize(("step", "when"), list(itertools.product(STEPS, ("before", "after"))))
def test_cut_off_anywhere_the_same_command_completes_it(
    agent: RealAgent, server: MailServer, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    before, real = fresh(server), {"renew": Agent.renew, "status": Agent.status}
    broken = []

    def breaking(name: str) -> Any:
        def call(self: Agent, *arguments: str) -> Any:
            here = (arguments or (name,))[0] == step and not broken
            if here and when == "before":
                broken.append(step)
                raise AgentError("The line is cut.", retry=True)
            answer = real[name](self, *arguments)
            if here:
                broken.append(step)
                raise AgentError("The answer is lost.", retry=True)
            return answer

        return call

    monkeypatch.setattr(Agent, "renew", breaking("renew"))
    monkeypatch.setattr(Agent, "status", breaking("status"))
    with pytest.raises(CommandError, match="same command again"):
        call_command("server_renew", NAME)
    assert broken
    Agent(fresh(server)).usage("")
    Agent(before).usage("")
    call_command("server_renew", NAME)
    assert_renewed(before, agent)


def test_changes_go_on_meanwhile(agent: RealAgent, server: MailServer, hosted: Domain) -> None:
    stop, failures = threading.Event(), []

    def change() -> None:
        try:
            for number in itertools.count():
                hosted.add_mailbox(f"box-{number}", password_hash=HASH, by=None)
                sync(server.pk)
                if fresh(server).sync.failed_at:
                    failures.append(fresh(server).sync.failure)
                if stop.is_set():
                    return
        finally:
            connections.close_all()

    writer = threading.Thread(target=change)
    writer.start()
    for _ in range(3):
        call_command("server_renew", NAME)
    stop.set()
    writer.join()
    sync(server.pk)
    assert failures == []
    assert in_step(agent, fresh(server))


def test_the_former_key_cannot_end_it(agent: RealAgent, server: MailServer) -> None:
    client = Agent(fresh(server))
    client.renew("begin")
    client.renew("switch")
    agent.initialise_again()
    agent.enrol()
    with pytest.raises(AgentError, match="the next key ends a renewal"):
        Agent(fresh(server)).renew("end")


def test_a_stolen_key_is_never_told_the_next_one(agent: RealAgent, server: MailServer) -> None:
    """Whoever asks first with it gets a key that is good for nothing; who asks in the middle is noticed."""
    stolen = fresh(server)
    early = Agent(stolen).renew("begin").key
    call_command("server_renew", NAME)
    assert early != fresh(server).agent_key
    for key in (early, stolen.agent_key):
        thief = fresh(server)
        thief.agent_key = key
        with pytest.raises(AgentError, match="401"):
            only(thief).status()
    begun = Agent(fresh(server)).renew("begin")
    noted = {"next_agent_key": begun.key, "next_certificate_sha256": begun.certificate_sha256}
    MailServer.objects.update(**noted)
    assert Agent(fresh(server)).renew("begin").key != begun.key
    with pytest.raises(CommandError, match="did not announce"):
        call_command("server_renew", NAME)


def test_steps_out_of_order_change_nothing(agent: RealAgent, server: MailServer) -> None:
    client = Agent(fresh(server))
    for step in ("switch", "end"):
        assert client.renew(step).certificate_sha256 == server.certificate_sha256
    early = fresh(server)
    early.agent_key = client.renew("begin").key
    with pytest.raises(AgentError, match="has not been switched"):
        Agent(early).renew("end")


def test_a_panel_from_an_older_copy_completes_it(agent: RealAgent, server: MailServer) -> None:
    """The copy was made in the middle of a renewal that then came to its end."""
    before, begun = fresh(server), Agent(fresh(server)).renew("begin")
    noted = {"next_agent_key": begun.key, "next_certificate_sha256": begun.certificate_sha256}
    MailServer.objects.update(**noted)
    call_command("server_renew", NAME)
    MailServer.objects.update(
        agent_key=before.agent_key, certificate_sha256=before.certificate_sha256, **noted
    )
    call_command("server_renew", NAME)
    assert_renewed(before, agent)
    assert fresh(server).agent_key == begun.key


def test_enrolled_anew_in_the_middle_it_begins_again(agent: RealAgent, server: MailServer) -> None:
    MailServer.objects.update(next_agent_key="x" * 40, next_certificate_sha256="0" * 64)
    with pytest.raises(CommandError, match="enrol the server again"):
        call_command("server_renew", NAME)
    before = agent.enrol()
    call_command("server_renew", NAME)
    assert_renewed(before, agent)


def test_two_at_once_are_refused(agent: RealAgent, server: MailServer) -> None:
    before, refused = fresh(server), []

    def second() -> None:
        try:
            call_command("server_renew", NAME)
        except CommandError as error:
            refused.append(str(error))
        finally:
            connections.close_all()

    with alone(RENEW, server.pk):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert "Another process renews" in refused[0]
    assert fresh(server).agent_key == before.agent_key


def test_another_certificate_says_what_to_do(agent: RealAgent, server: MailServer) -> None:
    MailServer.objects.update(certificate_sha256="0" * 64)
    with pytest.raises(AgentError, match="server_enrol"):
        Agent(fresh(server)).status()


def test_without_a_keeper_nothing_changes(agent: RealAgent, server: MailServer) -> None:
    agent.kill_keeper()
    before = fresh(server)
    with pytest.raises(CommandError, match="keeper"):
        call_command("server_renew", NAME)
    assert fresh(server).agent_key == before.agent_key
    Agent(fresh(server)).status()
    agent.start_keeper()
    call_command("server_renew", NAME)
    assert_renewed(before, agent)


def test_a_server_that_speaks_an_older_wire_says_what_to_do(agent: RealAgent, server: MailServer) -> None:
    server.sync.wire = 1
    server.sync.save()
    with pytest.raises(CommandError, match="upgrade mailnode"):
        call_command("server_renew", NAME)


def test_an_unknown_server(transactional_db: None) -> None:
    with pytest.raises(CommandError, match="No mail server"):
        call_command("server_renew", "nowhere.test")


def test_the_keys_stay_where_they_belong(agent: RealAgent, server: MailServer) -> None:
    Agent(fresh(server)).renew("begin")
    for path, mode in (("enrol/agent.key.next", 0o600), ("agent/agent.next.pem", 0o640)):
        assert (agent.home / path).stat().st_mode & 0o777 == mode
    key = (agent.home / "enrol/agent.key.next").read_text().strip()
    others = [path for path in Path(agent.home).rglob("*") if path.is_file() and path.parent.name != "enrol"]
    assert not [path for path in others if key.encode() in path.read_bytes()]
    assert wire.Renewal(key=key, certificate_sha256="0" * 64)
