"""A real agent filled anew: from nothing, over what it holds, under changes, and cut off anywhere."""

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection
from django.utils import timezone

from domains.driver import rebuilding, stamping
from domains.driver.agent import Agent
from domains.driver.outcomes import want_rebuild
from domains.driver.rebuilding import rebuild
from domains.driver.sync import sync
from domains.models import Mailbox, MailServer, ServerSync
from domains.tasks import pull_server
from foundation.unit_of_work import unit_of_work
from mailnode import wire
from tests.domains.conftest import HASH, fresh
from tests.domains.real_agent import held
from tests.domains.settling import churn, settled, wait_settled, worker
from tests.faults import SOAK, kills, new_dice, report

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]

PAGE = 10


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(wire, "MAX_ROWS", PAGE)
    monkeypatch.setattr(stamping, "MAX_ROWS", PAGE)
    monkeypatch.setattr(rebuilding, "RESEND_PAUSE", 0.02)


@pytest.fixture
def full(hosted, server):
    """acme.test with 60 mailboxes, on the node."""
    fill(hosted, "m", 60)
    sync(server.pk)
    return hosted


def fill(domain, prefix: str, number: int) -> None:
    mailboxes = [Mailbox(domain=domain, local_part=f"{prefix}{n}", password_hash=HASH) for n in range(number)]
    with unit_of_work():
        for mailbox in Mailbox.objects.bulk_create(mailboxes):
            mailbox.record("mailbox.add", None)


@pytest.fixture
def meanwhile(monkeypatch) -> Callable[[Callable[[wire.Rebuild], object]], None]:
    """Have something happen before each page of a rebuild is sent."""

    def install(happens: Callable[[wire.Rebuild], object]) -> None:
        real = Agent.rebuild

        def then(agent: Agent, page: wire.Rebuild) -> wire.Applied | wire.RebuildState:
            happens(page)
            return real(agent, page)

        monkeypatch.setattr(Agent, "rebuild", then)

    return install


def aside(work: Callable[[], object]) -> None:
    """Do it as another process would: in a thread with a database connection of its own."""

    def run() -> None:
        work()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_a_first_sync_of_more_than_a_page_is_a_rebuild(agent, server, hosted, meanwhile):
    sync(server.pk)
    agent.kill()
    agent.wipe()
    agent.start()
    fill(hosted, "m", 60)
    sync(server.pk)
    assert list(MailServer.objects.rebuild_owed()) == [server]
    seen = []
    meanwhile(lambda page: seen.append((agent.effective, agent.point)))
    rebuild(server.pk)
    assert set(seen) == {(0, (0, ""))}  # it listens for no mail before it knows all
    assert len(seen) == 7
    assert settled(agent, server)


def test_old_rows_serve_until_the_swap_and_what_is_wrong_is_mended(agent, server, full, meanwhile):
    stray = full.mailboxes.get(local_part="m7").pk.hex
    agent.execute("DELETE FROM mailboxes WHERE local_part = 'm3'")
    agent.execute("UPDATE mailboxes SET quota_bytes = 1 WHERE id = ?", stray)
    want_rebuild(server, "Because")
    counts = []
    meanwhile(lambda page: counts.append(agent.query("SELECT count(*) FROM mailboxes")[0][0]))
    rebuild(server.pk)
    assert set(counts) == {59}
    assert settled(agent, server)


def test_changes_of_meanwhile_follow(agent, server, full, meanwhile):
    want_rebuild(server, "Because")
    dice = new_dice()
    meanwhile(lambda page: aside(lambda: churn(full, dice, 3)))
    rebuild(server.pk)
    assert agent.point[0] < fresh(server).revision
    sync(server.pk)
    assert settled(agent, server)


def test_an_agent_killed_between_pages_goes_on(agent, server, full, meanwhile):
    want_rebuild(server, "Because")
    killed = []

    def kill(page: wire.Rebuild) -> None:
        if page.seq in (3, 6) and page.seq not in killed:
            killed.append(page.seq)
            agent.kill()
            agent.start()

    meanwhile(kill)
    rebuild(server.pk)
    assert killed == [3, 6]
    assert fresh(server).sync.failures == 0
    assert settled(agent, server)


def test_an_agent_that_hangs_for_a_while(agent, server, full, meanwhile, settings):
    settings.AGENT_DEADLINE = settings.AGENT_SWAP_DEADLINE = 0.5
    want_rebuild(server, "Because")

    def hang(page: wire.Rebuild) -> None:
        if page.seq == 4 and not timers:
            os.kill(agent.pid, signal.SIGSTOP)
            timers.append(threading.Timer(1.2, os.kill, (agent.pid, signal.SIGCONT)))
            timers[0].start()

    timers: list[threading.Timer] = []
    meanwhile(hang)
    rebuild(server.pk)
    timers[0].join()
    assert settled(agent, server)


def test_an_agent_that_hangs_for_good_is_given_up_and_rebuilt_later(
    agent, server, full, meanwhile, settings, monkeypatch
):
    settings.AGENT_DEADLINE = 0.3
    monkeypatch.setattr(rebuilding, "PATIENCE", 0.5)
    want_rebuild(server, "Because")
    before = held(agent)
    meanwhile(lambda page: os.kill(agent.pid, signal.SIGSTOP) if page.seq == 4 else None)
    began = time.monotonic()
    rebuild(server.pk)
    assert time.monotonic() - began < 15  # and not for as long as it hangs
    assert fresh(server).sync.failed_at
    assert not MailServer.objects.rebuild_owed().due().exists()
    os.kill(agent.pid, signal.SIGCONT)
    assert held(agent) == before
    meanwhile(lambda page: None)
    monkeypatch.undo()
    settings.AGENT_DEADLINE = 10
    ServerSync.objects.update(retry_at=timezone.now())
    rebuild(server.pk)
    assert settled(agent, server)


@pytest.mark.soak
@pytest.mark.timeout(0 if SOAK else 120)
def test_worker_and_agent_killed_at_random_points(agent, server, full):
    """Of a rebuild that is owed again and again, while changes go on."""
    dice, rounds = new_dice(), kills(3, 200)
    swaps = 0
    for number in range(rounds):
        want_rebuild(server, "Because")
        ServerSync.objects.update(rebuild_started_at=None, retry_at=None)
        point = agent.point
        process = worker(server, "domains.driver.rebuilding.rebuild")
        try:
            while not fresh(server).sync.rebuild_started_at:
                time.sleep(0.01)
            time.sleep(dice.random() / 3)
            churn(full, dice, 3)
            if number % 2:
                agent.kill()
                agent.start()
        finally:
            process.kill()
            process.wait()
        swaps += agent.point != point
    ServerSync.objects.update(retry_at=None)
    wait_settled(agent, server, by=lambda pk: (rebuild(pk), sync(pk)))
    report("rebuild cut off", dice, kills=rounds, swaps=swaps)


def test_other_servers_are_not_held_up(agent, server, full, meanwhile, monkeypatch):
    other = MailServer.objects.create(
        name="mx2.mxpanel.test", address="127.0.0.2", agent_url="https://127.0.0.1:9", agent_key="k" * 40,
        certificate_sha256="0" * 64,
    )  # fmt: skip
    ServerSync.objects.create(server=other)
    applied = wire.Applied(revision=1, effective=1)
    monkeypatch.setattr(Agent, "changes", lambda self, page: applied)
    want_rebuild(server, "Because")
    meanwhile(lambda page: aside(lambda: sync(other.pk)))
    rebuild(server.pk)
    assert fresh(other).sync.effective == 1


def test_a_node_of_the_older_wire_is_not_rebuilt_and_staff_are_told(agent, server, full, monkeypatch):
    ServerSync.objects.update(wire=1)
    monkeypatch.setattr("domains.driver.watching._common_wire", lambda server, status: 1)
    want_rebuild(server, "Because")
    rebuild(server.pk)
    assert "upgrade mailnode there first" in fresh(server).sync.failure
    monkeypatch.undo()
    ServerSync.objects.update(retry_at=None)
    pull_server(server.pk)
    rebuild(server.pk)
    assert fresh(server).sync.rebuild_wanted_at is None
