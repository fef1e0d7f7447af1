"""Worker and agent killed at random points of a stream of changes."""

import signal
import time

import pytest

from domains.driver.sync import sync
from tests.domains.settling import churn, wait_settled, worker
from tests.faults import SOAK, kills, new_dice, report

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.soak,
    pytest.mark.timeout(0 if SOAK else 240),
]


def test_worker_killed_at_random_points(agent, server, hosted):
    dice = new_dice()
    for _ in range(kills(6, 200)):
        process = worker(server)
        ends_at = time.monotonic() + 1.2 + dice.random() / 2
        while time.monotonic() < ends_at:
            churn(hosted, dice, 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_settled(agent, server, by=sync)
    report("worker killed in a stream of changes", dice, kills=kills(6, 200))


def test_agent_killed_at_random_points(agent, server, hosted):
    dice = new_dice()
    process = worker(server)
    try:
        for _ in range(kills(6, 200)):
            churn(hosted, dice, dice.randrange(1, 40))
            agent.kill()
            churn(hosted, dice, 2)
            agent.start()
        wait_settled(agent, server)
    finally:
        process.kill()
        process.wait()
    report("agent killed in a stream of changes", dice, kills=kills(6, 200))
