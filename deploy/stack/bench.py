"""The benchmarks: two starts of a fresh stack with its memory, then `tests.bench` inside it.

Each result is one JSON line on stdout and stands in `bench.json` too; everything else goes to stderr.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from deploy.stack import inside, namespace, processes, session
from deploy.stack.layout import Layout
from deploy.stack.supervisor import Supervisor

STARTED = time.monotonic()
MB = 1 << 10  # of /proc's KiB
START_GOALS = {"fresh start": "<= 120 s beside downloads", "second start": "<= 10 s"}
MEMORY_GOAL = "<= 1000 MB"


def main(arguments: Sequence[str]) -> int:
    """Start the stack twice in processes of their own, since a process enters its namespace for good."""
    layout = layout_of_bench()
    namespace.check_python(layout)
    session.make_fresh(layout)
    shutil.rmtree(layout.real_var / "cache", ignore_errors=True)
    results: list[str] = []
    code = measured(["fresh start"], results)
    if code == 0:
        code = measured(["second start", "-m", "tests.bench", *arguments], results)
    path = layout.real_var.parent / "bench.json"
    path.write_text("[\n" + ",\n".join(results) + "\n]\n")
    return code


def layout_of_bench() -> Layout:
    return Layout.from_environment(part="bench", base=28_000)


def measured(turn: Sequence[str], results: list[str]) -> int:
    """Run `measure` in a child, show and collect the JSON lines it writes; its exit code."""
    reading, writing = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", "deploy.stack", "measure", str(writing), *turn],
        stdout=sys.stderr,
        pass_fds=[writing],
    )
    os.close(writing)
    previous = signal.signal(signal.SIGTERM, lambda number, frame: child.send_signal(number))
    try:
        with os.fdopen(reading) as lines:
            for line in lines:
                print(line, end="", flush=True)
                if line.startswith("{"):
                    results.append(line.strip())
        return child.wait()
    finally:
        signal.signal(signal.SIGTERM, previous)


def measure(arguments: Sequence[str]) -> int:
    """Start the stack; write how long it took; with a command also its memory and what the command prints."""
    descriptor, name, *command = arguments
    layout, output = layout_of_bench(), int(descriptor)

    async def body(supervisor: Supervisor, env: dict[str, str]) -> int:
        seconds = round(time.monotonic() - STARTED, 2)
        write(output, name=name, value=seconds, unit="s", n=1, goal=START_GOALS[name])
        if not command:
            return 0
        write(output, name="memory of the stack", value=memory_mb(), unit="MB PSS", n=1, goal=MEMORY_GOAL)
        code = await inside.beside(supervisor, [sys.executable, *command], layout, env, stdout=output)
        write(output, name="memory after the benchmarks", value=memory_mb(), unit="MB PSS", n=1)
        return code

    return session.run(layout, body, own_settings=True, started=STARTED)


def memory_mb() -> float:
    """Proportional memory of the supervisor and everything below it."""
    pids = {os.getpid(), *processes.descendants(os.getpid())}
    return round(sum(processes.pss_kb(pid) for pid in pids) / MB, 1)


def write(output: int, **result: object) -> None:
    os.write(output, json.dumps(result).encode() + b"\n")
