"""Reading /proc: who a process is, what it belongs to, who holds a port. Linux only."""

import contextlib
import errno
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROC = Path("/proc")


def every_pid() -> Iterator[int]:
    return (int(entry) for entry in os.listdir(PROC) if entry.isdecimal())


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on; empty when the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def start_time(pid: int) -> str:
    """Clock ticks from boot to the start of `pid`: with the pid it names one process of this boot."""
    fields = stat_fields(pid)
    return fields[19] if fields and fields[0] not in "ZX" else ""


def session_of(pid: int) -> int:
    fields = stat_fields(pid)
    return int(fields[3]) if fields and fields[0] not in "ZX" else 0


def descendants(pid: int) -> set[int]:
    """Every living process below `pid`."""
    parents = {other: int(fields[1]) for other in every_pid() if (fields := stat_fields(other))}
    found, frontier = set(), {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier}
        found |= frontier
    return found


def boot_id() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def has_mount(pid: int, source: str) -> bool:
    """Whether `pid` lives in a mount namespace where a tmpfs of the name `source` is mounted."""
    try:
        return f" - tmpfs {source} " in (PROC / str(pid) / "mountinfo").read_text()
    except OSError:
        return False


def command_of(pid: int) -> str:
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        return (
            b" ".join(words).decode(errors="replace").strip()[:80]
            or (PROC / str(pid) / "comm").read_text().strip()
        )
    except OSError:
        return "unknown"


def is_free(address: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def holder_of(port: int) -> str:
    """Who listens at the TCP port: `pid (command)`, or `another user's process`."""
    inodes = set()
    for table in ("net/tcp", "net/tcp6"):
        with contextlib.suppress(OSError):
            for line in (PROC / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for pid in every_pid():
        with contextlib.suppress(OSError):
            for descriptor in os.scandir(PROC / str(pid) / "fd"):
                if os.readlink(descriptor.path) in inodes:
                    return f"process {pid} ({command_of(pid)})"
    return "a process of another user"


def end(find: Callable[[], set[int]], *, patience: float = 8.0) -> int:
    """Ask the processes that `find` names to end, insist after `patience` seconds; how many there were."""
    first = pids = find()
    signalled: set[int] = set()
    deadline = time.monotonic() + patience
    while pids:
        late = time.monotonic() > deadline
        for pid in pids if late else pids - signalled:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        signalled |= pids
        time.sleep(0.05)
        pids = find()
    return len(first)


def pss_kb(pid: int) -> int:
    """Proportional resident memory of `pid` in KiB; 0 when it is gone."""
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
