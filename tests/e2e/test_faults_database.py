"""PostgreSQL has no connection left: pages say so plainly, background work is done again, and nothing is lost."""

import contextlib
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
import requests

from tests.e2e.fire import Fire
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually
from tests.faults import SOAK, Dice, kills

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 120)]


@contextlib.contextmanager
def every_connection_taken(stack: Stack) -> Iterator[None]:
    """Take what is left of max_connections, and whatever is given back, until the block ends."""
    taken: list[psycopg.Connection] = []
    is_full, over = threading.Event(), threading.Event()

    def take() -> None:
        while not over.is_set():
            try:
                taken.append(psycopg.connect(stack.facts["database"], connect_timeout=5))
            except psycopg.OperationalError:
                is_full.set()
                over.wait(0.02)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        assert is_full.wait(20)
        yield
    finally:
        over.set()
        thread.join()
        for connection in taken:
            connection.close()


def test_connections_exhausted(stack: Stack, under_fire: Fire) -> None:
    """Those that are open go on; whoever begins anew gets none."""

    def fault(rng: Dice) -> None:
        with every_connection_taken(stack):
            stack.kill("web")
            stack.kill(rng.choice(["worker-servers", "worker-panel", "worker-slow", "beat"]))
            eventually(lambda: says_so_plainly(stack), 30)
            time.sleep(rng.uniform(0, 1))

    under_fire("connections exhausted", fault, kills(1, 20), (0.5, 1.5))


def says_so_plainly(stack: Stack) -> bool:
    page = requests.get(f"{stack.panel}/plans/", timeout=10)
    return page.status_code == 503 and "Retry-After" in page.headers and "wait some seconds" in page.text
