"""The way of a change to a real agent, and everything that may happen to it on the way."""

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from accounts.models import Customer
from billing.signals import service_ended, service_started
from domains.driver import sync as syncing
from domains.driver.agent import Agent, AgentError
from domains.driver.pages import next_page
from domains.driver.sync import sync
from domains.models import (
    Domain,
    Incident,
    Mailbox,
    MailServer,
    Placement,
    ServerMark,
    ServerRow,
    ServerSync,
    add_domain,
)
from domains.placement import place
from foundation.unit_of_work import unit_of_work
from mailnode import wire
from tests.domains.conftest import HASH
from tests.domains.real_agent import ROOT, RealAgent, environment, held, in_step, wished

logger = logging.getLogger(__name__)

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]


@pytest.fixture(scope="module")
def node() -> Iterator[RealAgent]:
    agent = RealAgent("mx1.mxpanel.test")
    yield agent
    agent.stop()


@pytest.fixture
def agent(node: RealAgent) -> Iterator[RealAgent]:
    """The agent of mx1, fresh and running."""
    node.wipe()
    node.start()
    yield node
    node.kill()


@pytest.fixture
def server(agent: RealAgent, transactional_db: None) -> MailServer:
    """mx1, enrolled and in service."""
    server = agent.enrol()
    sync(server.pk)
    return server


@pytest.fixture
def hosted(acme: Customer, server: MailServer, subscribe: Any) -> Domain:
    """acme.test of acme, placed on mx1."""
    subscribe(acme)
    with unit_of_work():
        service_started.send(type(acme), customer=acme)
    return add_domain(acme, "acme.test", by=None)


def fresh(server: MailServer) -> MailServer:
    return MailServer.objects.select_related("sync").get(pk=server.pk)


def settled(agent: RealAgent, server: MailServer) -> bool:
    server = fresh(server)
    return server.sync.effective == server.revision == agent.effective and in_step(agent, server)


def test_an_empty_server_becomes_effective(agent, server):
    assert agent.point[0] == agent.effective == fresh(server).sync.effective == 1


def test_every_verb_ends_on_the_node(agent, server, hosted, acme, alice):
    anna = hosted.add_mailbox("anna", "a long enough password", by=alice)
    ben = hosted.add_mailbox("ben", password_hash=HASH, quota_mb=0, by=alice)
    sync(server.pk)
    assert settled(agent, server)
    assert anna.is_live
    for verb in (
        lambda: anna.change(2048, "Anna", by=alice),
        lambda: anna.set_password("another long password", by=alice),
        lambda: anna.suspend(stops=["send"], reason="Because", by=alice),
        lambda: anna.suspend(until=timezone.now() + timezone.timedelta(hours=1), by=alice),
        lambda: anna.unsuspend(by=alice),
        lambda: ben.delete(by=alice),
        lambda: hosted.add_mailbox("ben", password_hash=HASH, by=alice).delete(by=alice),
        lambda: Mailbox.objects.get(pk=ben.pk).restore(by=alice),
        lambda: acme.suspend(reason="Unpaid", by=alice),
        lambda: acme.lift_suspension(by=alice),
        lambda: Domain.objects.get(pk=hosted.pk).delete(by=alice),
        lambda: Domain.objects.get(pk=hosted.pk).restore(by=alice),
    ):
        verb()
        assert not settled(agent, server)
        sync(server.pk)
        assert settled(agent, server)
    assert {kind for kind, _ in held(agent)} == {"customer", "domain", "dkim", "mailbox"}


def test_suspending_a_customer_is_one_row(agent, server, hosted, acme):
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    before = fresh(server).revision
    acme.suspend(reason="Unpaid", by=None)
    assert ServerRow.objects.filter(revision__gt=before).count() == 1
    sync(server.pk)
    acme.lift_suspension(by=None)
    sync(server.pk)
    assert settled(agent, server)


def test_service_ends_and_starts_again(agent, server, hosted, acme):
    for _ in range(2):  # signals may come twice
        with unit_of_work():
            service_ended.send(type(acme), customer=acme)
    sync(server.pk)
    (state,) = [data for (kind, _), data in held(agent).items() if kind == "state"]
    assert (state.subject, state.stops) == (acme.pk.hex, ["receive", "send"])
    for _ in range(2):
        with unit_of_work():
            service_started.send(type(acme), customer=acme)
    sync(server.pk)
    assert settled(agent, server)
    assert not [kind for kind, _ in held(agent) if kind == "state"]


def test_placement_follows_the_wish_and_brings_everything(agent, server, acme, subscribe, alice):
    other = MailServer.objects.create(
        name="mx2.mxpanel.test", address="127.0.0.2", agent_url="https://127.0.0.1:9", agent_key="k" * 40,
        certificate_sha256="0" * 64,
    )  # fmt: skip
    ServerSync.objects.create(server=other, reported={"disk_free": 2**50})
    subscribe(acme)
    domain = add_domain(acme, "acme.test", by=alice)  # before there is a server for it
    domain.add_mailbox("anna", password_hash=HASH, by=alice).suspend(by=alice)
    Placement.objects.create(customer=acme, server=server, by=alice)
    place(acme, by=None)
    place(acme, by=None)
    sync(server.pk)
    assert settled(agent, server)
    assert len(wished(server)) == 5
    assert not ServerRow.objects.filter(server=other).exists()


def test_pages_never_split_a_revision(server, hosted, monkeypatch):
    monkeypatch.setattr(wire, "MAX_ROWS", 10)
    for number in range(4):
        with unit_of_work():
            for letter in "abcd":
                hosted.add_mailbox(f"{letter}{number}", password_hash=HASH, by=None)
    page = next_page(server.pk, wire.Point(revision=1, mark=""))
    revisions = dict(ServerRow.objects.filter(server=server).values_list("key", "revision"))
    inside = [revisions[key] for key in revisions if key.hex in {row.key for row in page.rows}]
    assert len(page.rows) <= 10
    assert page.revision == max(inside)
    assert set(inside) == {revision for revision in revisions.values() if revision <= page.revision}


def test_many_rows_go_in_pages(agent, server, hosted):
    sync(server.pk)
    with unit_of_work():
        mailboxes = Mailbox.objects.bulk_create(
            [Mailbox(domain=hosted, local_part=f"m{number}", password_hash=HASH) for number in range(2_500)]
        )
        for mailbox in mailboxes:
            mailbox._record("mailbox.add", None)
    before = ServerMark.objects.count()
    sync(server.pk)
    assert settled(agent, server)
    assert ServerMark.objects.count() == before + 3


def test_answer_lost_goes_on_from_pending(agent, server, hosted, monkeypatch):
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    real = Agent.changes

    def lose(self: Agent, page: wire.Changes) -> None:
        real(self, page)
        raise AgentError("the line went dead", retry=True)

    monkeypatch.setattr(Agent, "changes", lose)
    sync(server.pk)
    assert fresh(server).sync.failure == "the line went dead"
    assert agent.point[0] == fresh(server).sync.pending_revision > fresh(server).sync.confirmed_revision
    monkeypatch.undo()
    hosted.add_mailbox("ben", password_hash=HASH, by=None)
    sync(server.pk)
    assert settled(agent, server)
    assert fresh(server).sync.failed_at is None


def test_node_from_an_older_copy_gets_what_it_lacks(agent, server, hosted):
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    sync(server.pk)
    agent.kill()
    copy = agent.copy()
    agent.start()
    for name in ("ben", "carl"):
        hosted.add_mailbox(name, password_hash=HASH, by=None)
        sync(server.pk)
    hosted.mailboxes.get(local_part="anna").delete(by=None)
    sync(server.pk)
    agent.kill()
    agent.bring_back(copy)
    agent.start()
    hosted.add_mailbox("dora", password_hash=HASH, by=None)
    sync(server.pk)
    assert settled(agent, server)


def test_a_node_that_lost_everything_gets_it_as_one_page(agent, server, hosted):
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    sync(server.pk)
    agent.kill()
    agent.wipe()
    agent.start()
    hosted.add_mailbox("ben", password_hash=HASH, by=None)
    sync(server.pk)
    assert settled(agent, server)


def test_a_node_that_lost_too_much_is_owed_a_rebuild(agent, server, hosted, monkeypatch):
    sync(server.pk)
    agent.kill()
    agent.wipe()
    agent.start()
    monkeypatch.setattr(wire, "MAX_ROWS", 2)
    hosted.delete(by=None)
    sync(server.pk)
    assert list(MailServer.objects.rebuild_owed()) == [server]
    assert not MailServer.objects.behind().exists()
    assert "holds no rows" in fresh(server).sync.rebuild_reason
    assert agent.point == (0, "")


def test_an_unknown_pair_halts_and_changes_nothing(agent, server, hosted, sam):
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    sync(server.pk)
    agent.kill()
    agent.execute("UPDATE meta SET mark = 'someone-elses'")
    agent.start()
    before = held(agent)
    hosted.mailboxes.get().delete(by=None)
    sync(server.pk)
    halted = fresh(server)
    assert "never gave it" in halted.sync.halted_reason
    assert held(agent) == before
    assert (halted.sync.halted_revision, halted.sync.halted_mark) == agent.point
    assert Incident.objects.get(kind="halted", closed_at=None).server == server
    assert not MailServer.objects.behind().exists()
    agent.kill()
    agent.execute("UPDATE meta SET mark = ?", halted.sync.confirmed_mark)
    agent.start()
    assert halted.resume(by=sam)
    assert not halted.resume(by=sam)
    assert not Incident.objects.filter(closed_at=None).exists()
    sync(server.pk)
    assert settled(agent, server)


def test_wrong_certificate_and_wrong_key_are_refused(agent, server, hosted):
    MailServer.objects.filter(pk=server.pk).update(certificate_sha256="f" * 64)
    sync(server.pk)
    assert "could not be asked" in fresh(server).sync.failure
    agent.enrol()
    wrong = fresh(server)
    wrong.agent_key = "not-the-key-of-this-server"
    wrong.save(update_fields=["agent_key"])
    sync(server.pk)
    assert "401" in fresh(server).sync.failure
    agent.enrol()
    sync(server.pk)
    assert settled(agent, server)


def test_two_at_once_and_the_second_look(agent, server, hosted, monkeypatch):
    """What is committed while another process holds the lock is sent by that process, without another
    hint.
    """
    real = syncing.catch_up
    added = []

    def meanwhile(server_id: int, ends_at: float, **how: Any) -> bool:
        done = real(server_id, ends_at, **how)
        if not added:
            added.append(hosted.add_mailbox("late", password_hash=HASH, by=None))
            thread = threading.Thread(target=_sync_in_thread, args=(server_id,))
            thread.start()
            thread.join()
        return done

    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    monkeypatch.setattr(syncing, "catch_up", meanwhile)
    sync(server.pk)
    assert settled(agent, server)


def _sync_in_thread(server_id: int) -> None:
    sync(server_id)
    connections.close_all()


def worker(server: MailServer) -> subprocess.Popen[bytes]:
    """A process of its own that syncs for ever, on the test's database."""
    code = (
        "import django, sys, time; django.setup();"
        "from domains.driver.sync import sync;"
        "[(sync(int(sys.argv[1])), time.sleep(0.002)) for _ in iter(int, 1)]"
    )
    url = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**connection.settings_dict)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(server.pk)], cwd=ROOT,
        env=environment(DATABASE_URL=url, DJANGO_SETTINGS_MODULE="mxpanel.settings", LOG_LEVEL="CRITICAL"),
    )  # fmt: skip


def wait_settled(agent: RealAgent, server: MailServer, seconds: float = 10) -> None:
    ends_at = time.monotonic() + seconds
    while not settled(agent, server):
        assert time.monotonic() < ends_at, (fresh(server).sync.failure, fresh(server).sync.halted_reason)
        time.sleep(0.05)


def churn(hosted: Domain, dice: random.Random, rounds: int) -> None:
    """Random verbs on random mailboxes."""
    for number in range(rounds):
        mailbox = dice.choice([*Mailbox.objects.filter(domain=hosted), None])
        verbs = ["add"] if mailbox is None else ["change", "suspend", "unsuspend", "delete", "restore", "add"]
        match dice.choice(verbs):
            case "add":
                hosted.add_mailbox(f"m{time.monotonic_ns()}", password_hash=HASH, by=None)
            case "change":
                mailbox.change(number, "", by=None)
            case verb:
                getattr(mailbox, verb)(by=None)


@pytest.mark.timeout(240)
def test_worker_killed_at_random_points(agent, server, hosted):
    seed = int(os.environ.get("FAULT_SEED", random.randrange(10**6)))
    dice = random.Random(seed)
    logger.warning("seed %s", seed)  # FAULT_SEED repeats a run
    for _ in range(int(os.environ.get("FAULT_ROUNDS", "6"))):
        process = worker(server)
        ends_at = time.monotonic() + 1.2 + dice.random() / 2
        while time.monotonic() < ends_at:
            churn(hosted, dice, 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    sync(server.pk)
    wait_settled(agent, server)


@pytest.mark.timeout(240)
def test_agent_killed_at_random_points(agent, server, hosted):
    seed = int(os.environ.get("FAULT_SEED", random.randrange(10**6)))
    dice = random.Random(seed)
    logger.warning("seed %s", seed)  # FAULT_SEED repeats a run
    process = worker(server)
    try:
        for _ in range(int(os.environ.get("FAULT_ROUNDS", "6"))):
            churn(hosted, dice, dice.randrange(1, 40))
            agent.kill()
            churn(hosted, dice, 2)
            agent.start()
        wait_settled(agent, server)
    finally:
        process.kill()
        process.wait()


def test_killed_between_commit_and_hint(agent, server, hosted):
    """Nothing was told to anybody: the sweep finds the server by its revision alone."""
    hosted.add_mailbox("anna", password_hash=HASH, by=None)  # no broker in these tests: the hint is lost
    assert list(MailServer.objects.behind()) == [server]
    sync(server.pk)
    assert not MailServer.objects.behind().exists()


def test_rolled_back_changes_leave_no_trace(agent, server, hosted):
    before = fresh(server).revision

    def fail() -> None:
        with unit_of_work():
            hosted.add_mailbox("ghost", password_hash=HASH, by=None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert fresh(server).revision == before


def test_writers_at_once_leave_revisions_in_order(agent, server, hosted):
    def write(name: str) -> None:
        for number in range(10):
            hosted.add_mailbox(f"{name}{number}", password_hash=HASH, by=None)
        connections.close_all()

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sync(server.pk)
    for thread in threads:
        thread.join()
    sync(server.pk)
    assert settled(agent, server)
    revisions = list(ServerRow.objects.filter(kind="mailbox").values_list("revision", flat=True))
    assert len(revisions) == len(set(revisions)) == 40
