"""After the supervisor was killed nothing of its stack lives on past the next start, and nothing else ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack import leftovers, processes, session
from deploy.stack.layout import CLONE, Layout

# A stack of two sleepers: what session.run does, without the servers.
TINY_STACK = """
import asyncio, sys
from pathlib import Path
from deploy.stack import leftovers, namespace, session
from deploy.stack.component import Component
from deploy.stack.layout import Layout
from deploy.stack.supervisor import Supervisor

layout = Layout(Path(sys.argv[1]))
async def main():
    escaping = ["setsid", "--fork", "sh", "-c", "sleep 601 & exec sleep 602"]
    components = [Component("one", ["sh", "-c", "sleep 603 & exec sleep 604"]), Component("two", ["sleep", "605"])]
    if layout.namespaced:
        components.append(Component("escaping", escaping, once=True))
    supervisor = Supervisor(components, layout.real_var, leftovers.record_of(layout), lambda *line: None)
    await supervisor.start()
    print("up", flush=True)
    await asyncio.sleep(600)
with session.held(layout):
    if sys.argv[2] == "namespace":
        assert not namespace.enter(layout)
    asyncio.run(main())
"""


@pytest.fixture(params=["namespace", "no namespace"])
def killed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Layout, set[int]]]:
    """The layout of a stack whose supervisor was killed, and the processes it left."""
    if request.param == "namespace" and os.geteuid() != 0:
        pytest.fail("run the suite through `make test`, as root: a mount namespace needs it")
    layout = Layout(tmp_path)
    command = [sys.executable, "-c", TINY_STACK, str(tmp_path), request.param]
    supervisor = subprocess.Popen(command, cwd=CLONE, stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == "up\n"
    wanted = 5 if request.param == "namespace" else 3
    deadline = time.monotonic() + 30
    while (
        len(left := leftovers.leftovers(layout) - {supervisor.pid}) < wanted and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    yield layout, left
    processes.end(lambda: {pid for pid in left if processes.start_time(pid)})


def test_next_start_ends_what_was_left(killed: tuple[Layout, set[int]]) -> None:
    layout, left = killed
    bystander = subprocess.Popen(["sleep", "606"])
    try:
        with session.held(layout):
            assert leftovers.clear(layout) == len(left)
        assert not [pid for pid in left if processes.start_time(pid)]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_stop_ends_what_was_left(killed: tuple[Layout, set[int]], capsys: pytest.CaptureFixture[str]) -> None:
    layout, left = killed
    assert session.stop(layout) == 0
    assert not [pid for pid in left if processes.start_time(pid)]
    assert f"Ended {len(left)} processes" in capsys.readouterr().out


def test_record_of_another_boot_means_nothing(tmp_path: Path) -> None:
    layout, bystander = Layout(tmp_path), subprocess.Popen(["sleep", "607"], start_new_session=True)
    try:
        started = {"one": [bystander.pid, processes.start_time(bystander.pid)]}
        leftovers.record_of(layout).write_text(json.dumps({"boot": "another", "started": started}))
        assert leftovers.leftovers(layout) == set()
        stale = {"one": [bystander.pid, "1"]}
        leftovers.record_of(layout).write_text(json.dumps({"boot": processes.boot_id(), "started": stale}))
        assert leftovers.leftovers(layout) == set()
    finally:
        bystander.kill()
        bystander.wait()
