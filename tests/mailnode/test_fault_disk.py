"""The node's disk is full: what was acknowledged stays and is served, what is not is refused whole and in clear words,
and it heals as soon as there is room."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import SOAK, Dice, kills, report
from tests.mailnode.clients import ask, until
from tests.mailnode.panel import Panel
from tests.mailnode.server import Server, customer, domain, mailbox, running_on

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 120)]

MEGABYTES = 16
HEALS_WITHIN = 10  # seconds after there is room again


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A small tmpfs. Only root that may mount can fill a disk of its own: elsewhere this fails, and is not passed over."""
    directory = Path(f"/tmp/sd{os.getpid()}")
    directory.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "small", directory]
        subprocess.run(mount, check=True)
        directory.chmod(0o755)
        yield directory
        subprocess.run(["umount", directory], check=True)
    finally:
        directory.rmdir()


@contextmanager
def full(directory: Path) -> Iterator[None]:
    """Not a block is left until the end of the block."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**16, 2**12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    try:
        yield
    finally:
        filler.unlink()


def test_disk_full(small_disk: Path, rng: Dice, private_keys: list[str]) -> None:
    times = kills(4, 200)
    with running_on(small_disk) as server:
        server.start("agent", "lookup")
        panel = Panel(server, random.Random(rng.randrange(2**32)), private_keys)
        panel.send([customer("always"), domain("always.test", "always"), mailbox("anna@always.test")])
        for _ in range(times):
            with panel.streaming():
                time.sleep(rng.uniform(0, 0.3))
                with full(small_disk):
                    _refuses_and_serves(server, panel, rng)
                before = panel.acknowledged
                until(lambda before=before: panel.acknowledged > before, HEALS_WITHIN)
            panel.go_on()
            panel.assert_in_step()
    report("disk full", rng, times=times, refused=len(panel.refusals), pages=len(panel.sent))


def _refuses_and_serves(server: Server, panel: Panel, rng: Dice) -> None:
    """Pages are refused, or keep what has to follow from them for later; nothing is half there."""

    def is_held_up() -> bool:
        status = server.status()
        return len(panel.refusals) > refused or status.effective < status.revision

    refused = len(panel.refusals)
    until(is_held_up)
    time.sleep(rng.uniform(0, 0.3))
    assert set(panel.refusals[refused:]) <= {
        "The disk of the mail server is full. Nothing is lost: the panel sends this again. Make room on it."
    }
    assert ask(server, recipient="anna@always.test", sender="x@elsewhere.test") == "DUNNO"
    acknowledged, agent = panel.acknowledged, server.running["agent"]
    agent.send_signal(signal.SIGSTOP)
    try:
        panel.assert_kept(acknowledged, server.directory)
    finally:
        agent.send_signal(signal.SIGCONT)
