"""The power goes while pages are being written: whatever was acknowledged is there afterwards."""

import random
import shutil
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import SOAK, Dice, kills, report
from tests.mailnode.clients import until
from tests.mailnode.panel import Panel
from tests.mailnode.power import FirmDisk, WeakDisk, disk
from tests.mailnode.server import Server, running_on

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 120)]


def test_power_cuts(rng: Dice, private_keys: list[str], tmp_path: Path) -> None:
    """One machine loses power again and again; each time its file system is what its journal makes of it."""
    cuts = kills(4, 200)
    ahead = 0
    with disk(rng) as weak, running_on(weak.directory) as server:
        weak.flush()
        panel = Panel(server, random.Random(rng.randrange(2**32)), private_keys)
        for number in range(cuts):
            acknowledged = _stream_until_cut(server, panel, weak, rng)
            ahead += _assert_survived(panel, acknowledged, server.directory, tmp_path / f"copy{number}")
            server.start("agent")
            panel.go_on()
            panel.assert_in_step()
    report(weak.proves, rng, cuts=cuts, pages=len(panel.sent), unacknowledged_but_there=ahead)
    assert panel.acknowledged > cuts, "hardly a page was acknowledged, so nothing is proved"


def test_a_failing_disk(rng: Dice, private_keys: list[str], tmp_path: Path) -> None:
    """Writes and flushes fail at random, so fsync does, and the kernel forgets what it could not write. Pages are
    refused, what was acknowledged survives even a power cut right after, and it goes on by itself where the file
    system does (ext4 gives up when its journal fails; then only a restart of the machine helps)."""
    times = kills(3, 200)
    counts: Counter[str] = Counter()
    with disk(rng) as weak, running_on(weak.directory) as server:
        weak.flush()
        panel = Panel(server, random.Random(rng.randrange(2**32)), private_keys)
        for number in range(times):
            if "agent" not in server.running:
                server.start("agent")
            with panel.streaming():
                acknowledged = _fail(panel, weak, rng, counts)
                server.stop("agent", with_signal=signal.SIGKILL)
            weak.bring_back()
            _assert_survived(panel, acknowledged, server.directory, tmp_path / f"copy{number}")
            server.start("agent")
            panel.go_on()
            panel.assert_in_step()
    report("failing disk", rng, times=times, pages=len(panel.sent), refused=len(panel.refusals), **counts)


def _fail(panel: Panel, weak: WeakDisk | FirmDisk, rng: Dice, counts: Counter[str]) -> int:
    """Some writes or flushes fail, then the power goes; how many pages were acknowledged then."""
    time.sleep(rng.uniform(0, 0.3))
    weak.tell(rng.choice(["fail writes 1", "fail writes 1", "fail writes 3", "fail flushes 1"]))
    time.sleep(rng.uniform(0, 0.3))
    before = panel.acknowledged
    until(lambda: panel.acknowledged > before + 1 or weak.has_given_up())
    counts["given up" if weak.has_given_up() else "healed"] += 1
    acknowledged = panel.acknowledged
    weak.cut()
    return acknowledged


def _stream_until_cut(server: Server, panel: Panel, weak: WeakDisk | FirmDisk, rng: Dice) -> int:
    """How many pages were acknowledged when the power went."""
    if "agent" not in server.running:
        server.start("agent")
    with panel.streaming():
        time.sleep(rng.uniform(0, 0.6))
        acknowledged = panel.acknowledged
        weak.cut()
        server.stop("agent", with_signal=signal.SIGKILL)
    weak.bring_back()
    return acknowledged


def _assert_survived(panel: Panel, acknowledged: int, directory: Path, copy: Path) -> int:
    """What lies on the disk before the agent has touched it is whole; how many pages are there that nobody had
    been told of. It is read from a copy, for reading completes what SQLite's log holds."""
    for name in ("db", "secrets", "usage", "dkim"):
        shutil.copytree(directory / name, copy / name)
    for name in ("db/node.db", "secrets/secrets.db", "usage/usage.db"):
        database = sqlite3.connect(copy / name)
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], name
        database.close()
    ahead = panel.assert_kept(acknowledged, copy)
    shutil.rmtree(copy)
    return ahead
