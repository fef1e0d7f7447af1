"""Clearing away what a killed supervisor left behind: only processes that prove to be this stack's own."""

import contextlib
import json
import os
import shutil
from pathlib import Path

from deploy.stack import processes
from deploy.stack.layout import Layout


def clear(layout: Layout) -> int:
    """End every left-over process of this stack; how many there were. The caller holds the stack's lock."""
    count = processes.end(lambda: leftovers(layout))
    record_of(layout).unlink(missing_ok=True)
    if not layout.namespaced and layout.run.name == layout.mark:
        shutil.rmtree(layout.run, ignore_errors=True)
    return count


def record_of(layout: Layout) -> Path:
    return layout.real_var / "started.json"


def leftovers(layout: Layout) -> set[int]:
    """Processes in a mount namespace that carries the stack's mark, and the sessions its record names."""
    sessions = recorded_sessions(record_of(layout))
    found = {
        pid
        for pid in processes.every_pid()
        if processes.has_mount(pid, layout.mark) or processes.session_of(pid) in sessions
    }
    return {pid for pid in found - ourselves() if processes.start_time(pid)}


def recorded_sessions(record: Path) -> set[int]:
    """The sessions begun by the recorded processes, where no other process has taken the number since."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads(record.read_text())
        if noted["boot"] == processes.boot_id():
            return {
                pid
                for pid, started in noted["started"].values()
                if processes.start_time(pid) in ("", started)
            }
    return set()


def ourselves() -> set[int]:
    """This process and its ancestors."""
    pids, pid = set(), os.getpid()
    while pid > 0 and pid not in pids:
        pids.add(pid)
        fields = processes.stat_fields(pid)
        pid = int(fields[1]) if fields else 0
    return pids
