"""The supervisor restarts what dies, names what is in its way, and ends all that it started."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.stack import processes, session
from deploy.stack.component import Component, answers
from deploy.stack.layout import Layout, StackError
from deploy.stack.supervisor import Supervisor

Lines = list[tuple[str, str, str]]


def sleeper(name: str, **options: object) -> Component:
    """A component that does nothing but live, with a child of its own."""
    code = "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    return Component(name, [sys.executable, "-c", code], **options)  # type: ignore[arg-type]


def supervised(tmp_path: Path, *components: Component) -> tuple[Supervisor, Lines]:
    lines: Lines = []
    supervisor = Supervisor(components, tmp_path, tmp_path / "started.json", lambda *line: lines.append(line))
    return supervisor, lines


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


def test_dead_component_is_started_again(tmp_path: Path) -> None:
    async def scenario() -> Lines:
        supervisor, lines = supervised(tmp_path, sleeper("one"))
        await supervisor.start()
        first = supervisor.pids()["one"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: supervisor.pids().get("one", first) != first)
        await until(lambda: ("one", "started again") in [line[:2] for line in lines])
        await supervisor.stop()
        return lines

    states = [state for _, state, _ in asyncio.run(scenario())]
    assert states == ["started", "died", "started again"]


def test_stop_leaves_no_process_not_even_a_child_of_one(tmp_path: Path) -> None:
    async def scenario() -> set[int]:
        others = processes.descendants(os.getpid())  # servers that other tests keep for the session
        supervisor, _ = supervised(tmp_path, sleeper("one"), sleeper("two", needs=["one"]))
        await supervisor.start()
        await until(lambda: len(processes.descendants(os.getpid()) - others) >= 4)
        started = processes.descendants(os.getpid()) - others
        await supervisor.stop()
        return started

    assert not [pid for pid in asyncio.run(scenario()) if processes.start_time(pid)]


def test_component_waits_for_what_it_needs(tmp_path: Path) -> None:
    async def scenario() -> Lines:
        step = Component("step", ["sleep", "0.3"], once=True)
        supervisor, lines = supervised(tmp_path, sleeper("server", needs=["step"]), step)
        await supervisor.start()
        await supervisor.stop()
        return lines

    assert [line[:2] for line in asyncio.run(scenario())] == [("step", "done"), ("server", "started")]


def test_step_that_fails_says_why_and_stops_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        step = Component("step", ["sh", "-c", "echo no such luck >&2; exit 3"], once=True)
        supervisor, _ = supervised(tmp_path, sleeper("one"), step)
        try:
            await supervisor.start()
        finally:
            await supervisor.stop()

    with pytest.raises(StackError, match=r"(?s)step ended with exit code 3.*no such luck"):
        asyncio.run(scenario())


def test_component_that_never_answers_is_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor, _ = supervised(tmp_path, sleeper("mute", ready=lambda: False, deadline=0.1))
        try:
            await supervisor.start()
        finally:
            await supervisor.stop()

    with pytest.raises(StackError, match="mute ended with signal SIGKILL"):
        asyncio.run(scenario())


def test_port_in_use_is_named_with_its_holder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        base = server.getsockname()[1]
        with pytest.raises(StackError) as error:
            session.check_ports(Layout(tmp_path, port_base=base))
    assert f"127.0.0.1:{base} (web) is held by process {os.getpid()}" in str(error.value)
    assert "choose another PORT_BASE" in str(error.value)


def test_check_knows_whether_something_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert answers(port)()
    assert not answers(port)()


def test_second_supervisor_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with session.held(layout), pytest.raises(StackError, match="already"), session.held(layout):
        pass
