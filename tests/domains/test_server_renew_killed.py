"""Renewals one after the other, and the command, the agent and the keeper killed at random points of them."""

import signal
import time
from collections.abc import Iterator

import pytest

from domains.driver.agent import Agent, AgentError
from domains.models import Domain, MailServer
from domains.renewal import RenewalError, renew
from tests.domains.conftest import fresh
from tests.domains.real_agent import RealAgent
from tests.domains.settling import churn, wait_settled, worker
from tests.faults import SOAK, kills, new_dice, report

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.soak,
    pytest.mark.timeout(0 if SOAK else 240),
]
RENEWING = "tests.domains.test_server_renew_killed.try_to_renew"
PAUSE = 0.3


def try_to_renew(server_id: int) -> None:
    """What somebody does who gives the command again and again."""
    try:
        renew(MailServer.objects.select_related("sync").get(pk=server_id), by=None)
    except (AgentError, RenewalError):
        return
    time.sleep(PAUSE)


@pytest.fixture(autouse=True)
def keeper(agent: RealAgent) -> Iterator[None]:
    agent.start_keeper()
    yield
    agent.forget_renewal()


def speak_until_renewed(server: MailServer) -> None:
    """Panel and server understand each other at every moment until another certificate is in use."""
    pin, ends_at = fresh(server).certificate_sha256, time.monotonic() + 60
    while fresh(server).certificate_sha256 == pin:
        Agent(fresh(server)).status()
        assert time.monotonic() < ends_at, "no renewal comes to its end"
        time.sleep(0.01)


def test_killed_at_random_points(agent: RealAgent, server: MailServer, hosted: Domain) -> None:
    dice, rounds = new_dice(), kills(3, 200)
    processes = {"worker": worker(server), "command": worker(server, RENEWING)}
    killed = dict.fromkeys(("command", "agent", "keeper"), 0)
    try:
        for number in range(rounds):
            speak_until_renewed(server)
            churn(hosted, dice, 3)
            time.sleep(dice.random() * 2 * PAUSE)
            victim = list(killed)[number % 3]
            if victim == "command":
                processes["command"].send_signal(signal.SIGKILL)
                processes["command"].wait()
                processes["command"] = worker(server, RENEWING)
            elif victim == "agent":
                agent.kill()
                agent.start()
            else:
                agent.kill_keeper()
                agent.start_keeper()
            killed[victim] += 1
        speak_until_renewed(server)
        processes.pop("command").kill()
        wait_settled(agent, server)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    report("renewals killed at random points", dice, **killed)
