"""The power goes while pages are being written: whatever was acknowledged is there afterwards."""

import random
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from mailnode import wire
from tests.faults import SOAK, Dice, kills, report
from tests.mailnode.panel import Key, Panel, different, hashes
from tests.mailnode.power import FirmDisk, WeakDisk, disk
from tests.mailnode.server import Server, running_on
from tests.node_files import holding

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
    """What lies on the disk before any process of ours has touched it; how many pages are there that nobody had
    been told of."""
    for name in ("db", "secrets", "usage", "dkim"):
        shutil.copytree(directory / name, copy / name)
    for name in ("db/node.db", "secrets/secrets.db", "usage/usage.db"):
        database = sqlite3.connect(copy / name)
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], name
        database.close()
    node = sqlite3.connect(copy / "db/node.db")
    revision, mark = node.execute("SELECT revision, mark FROM meta").fetchone()
    node.close()
    pages = panel.place(wire.Point(revision=revision, mark=mark))
    assert pages >= acknowledged, "an acknowledged page is lost"
    wrong = different(holding(copy), hashes(panel.wish(pages)))
    under_way = _under_way(panel, acknowledged)
    assert {key: both for key, both in wrong.items() if key not in under_way or None in both} == {}
    shutil.rmtree(copy)
    return pages - acknowledged


def _under_way(panel: Panel, acknowledged: int) -> set[Key]:
    """Mailboxes and keys of pages that nobody had been told of: their hashes are written before a page, their key
    files after it."""
    changed = {(row.kind, row.key) for page in panel.sent[acknowledged:] for row in page.rows}
    before = panel.wish(acknowledged) | panel.wish(len(panel.sent))
    keys = {
        key for key, row in before.items() if key[0] == "dkim" and ("domain", row.data["domain"]) in changed
    }
    return changed | keys
