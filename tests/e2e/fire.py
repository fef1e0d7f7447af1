"""Faults while two people go on changing mailboxes on two mail servers, and what must hold once things are well."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import requests

from tests.e2e.changes import Stream, running
from tests.e2e.hosting import Tenant
from tests.e2e.stack import Stack, seconds_of
from tests.e2e.waiting import eventually
from tests.faults import Dice

EQUAL_WITHIN = 10  # seconds after everything is well
WELL_WITHIN = 60  # seconds in which everything that was killed has to be back
BEAT_STARTS_IN = 5  # seconds; /readyz does not tell of it


class Fire:
    """Faults under two streams of changes: nothing may be lost, doubled, or different on a mail server."""

    def __init__(self, stack: Stack, domains: list[tuple[Tenant, str]], rng: Dice) -> None:
        self.stack, self.domains, self.rng = stack, domains, rng
        self.streams: list[Stream] = []

    def __call__(
        self, name: str, fault: Callable[[Dice], None], times: int, pauses: tuple[float, float]
    ) -> None:
        """Cause `fault` so many times, after pauses of a random length, then see that all is well."""
        with self.changing():
            for _ in range(times):
                time.sleep(self.rng.uniform(*pauses))
                fault(self.rng)
            time.sleep(0.5)
        self.assert_nothing_lost(name, kills=times)

    def changing(self) -> AbstractContextManager[None]:
        """Two people change mailboxes, each on a server of their own, until the block ends."""
        self.streams = [Stream(tenant, domain, self.rng.randrange(2**32)) for tenant, domain in self.domains]
        return running(self.streams)

    def assert_nothing_lost(self, name: str, **measured: object) -> None:
        changes = sum(stream.acknowledged for stream in self.streams)
        assert_equal(self.stack, {"name": name, "seed": self.rng.seed_given, **measured, "changes": changes})
        assert changes > 0, "no change was acknowledged, so nothing is proved"
        assert not [wrong for stream in self.streams for wrong in stream.lost_or_doubled(self.stack)]
        assert_pages_say_live(self.stack, self.streams)


def assert_equal(stack: Stack, report: dict[str, Any]) -> None:
    """Every row on every node equals the panel's, within seconds of all being well."""
    report["well_after"] = round(wait_until_well(stack), 1)
    compared = compare(stack)
    sys.stdout.write(json.dumps({**report, **compared}) + "\n")
    assert not compared["differences"], compared


def wait_until_well(stack: Stack) -> float:
    """Until the panel answers and reaches its database, broker and workers, every agent listens, and beat has begun to send
    its sweeps; how many seconds that took.
    """
    started = time.monotonic()

    def well() -> bool:
        for server in stack.servers:
            socket.create_connection(server.agent, 5).close()
        checks = requests.get(f"{stack.panel}/readyz", timeout=10).json()["checks"]
        beat = stack.pid("beat")
        sweeps = beat is not None and seconds_of(beat) >= BEAT_STARTS_IN
        return sweeps and all(checks[name] == "ok" for name in ("database", "broker", "workers"))

    eventually(well, WELL_WITHIN, every=0.2)
    return time.monotonic() - started


def compare(stack: Stack) -> dict[str, Any]:
    """What tests/e2e/rows.py says, which asks until all is equal or its time is over."""
    arguments = [sys.executable, "-m", "tests.e2e.rows", str(stack.path), str(EQUAL_WITHIN)]
    done = subprocess.run(
        arguments, capture_output=True, text=True, env=panel_environment(stack), timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_pages_say_live(stack: Stack, streams: list[Stream]) -> None:
    """What the panel's pages say of mailboxes is what has come about."""
    for stream in streams:
        for name in [name for name, known in stream.known.items() if not known.unsure][:3]:
            stream.tenant.wait_live(stream.tenant.page(stream.domain, "mailboxes", name), EQUAL_WITHIN)


def panel_environment(stack: Stack) -> dict[str, str]:
    """The panel's own database, whatever this process has made of its settings for other tests."""
    return {**os.environ, "DATABASE_URL": stack.facts["database"], "REDIS_URL": stack.facts["redis"]}
