"""Keeps components running: starts each when its needs are ready, restarts what dies, ends them all.

Needs count at the start only: a component whose need dies later is left alone, since everything in this stack
reconnects by itself.
"""

import asyncio
import contextlib
import json
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from deploy.stack import processes
from deploy.stack.component import Component
from deploy.stack.layout import StackError
from deploy.stack.steps import identity

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
STABLE_AFTER = 10.0
STARTS_BEFORE_GIVING_UP = 3
ASK_EVERY = 0.05
LOG_LIMIT = 10 << 20

Say = Callable[[str, str, str], None]


class Supervisor:
    """Runs `components` with their output in `logs`; `record` lists what was started, for a later clean-up.

    `say(name, state, detail)` is told of every change. A supervisor is used once.
    """

    def __init__(self, components: Sequence[Component], logs: Path, record: Path, say: Say) -> None:
        self.components = {component.name: component for component in components}
        self.logs, self.record, self.say = logs, record, say
        self.ready = {name: asyncio.Event() for name in self.components}
        self.running: dict[str, Process] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.recorded: dict[str, tuple[int, str]] = {}
        self.stopping = asyncio.Event()
        self.failure: str | None = None

    async def start(self) -> None:
        """Start everything and wait until it is ready. Raises StackError for what cannot be started."""
        for component in self.components.values():
            self.tasks[component.name] = asyncio.create_task(self.keep(component))
        waits = [asyncio.create_task(self.everything_ready()), asyncio.create_task(self.stopping.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self.failure:
            raise StackError(self.failure)

    async def everything_ready(self) -> bool:
        for event in self.ready.values():
            await event.wait()
        return True

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self.running.items()}

    async def keep(self, component: Component) -> None:
        """Life of one component: wait for its needs, then run it until the stack stops."""
        try:
            for need in component.needs:
                await self.ready[need].wait()
            await self.run_again_and_again(component)
        except Exception as error:
            self.give_up(component, str(error) or type(error).__name__)

    async def run_again_and_again(self, component: Component) -> None:
        pause, starts = FIRST_PAUSE, 0
        while not self.stopping.is_set():
            started = time.monotonic()
            code = await self.run_once(component)
            if self.stopping.is_set() or (component.once and code == 0):
                return
            starts += 1
            if component.once or (
                not self.ready[component.name].is_set() and starts >= STARTS_BEFORE_GIVING_UP
            ):
                return self.give_up(component, f"ended with {outcome(code)}")
            if time.monotonic() - started > STABLE_AFTER:
                pause = FIRST_PAUSE
            self.say(component.name, "died", f"{outcome(code)}; starting it again in {pause:.1f} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def run_once(self, component: Component) -> int:
        """Start the component, wait for its end, clear away its orphans; the exit code as asyncio has it."""
        started = time.monotonic()
        if component.prepare:
            await asyncio.to_thread(component.prepare)
        if self.stopping.is_set():
            return 0
        process = await self.spawn(component)
        self.running[component.name] = process
        self.write_record(component.name, process.pid)
        readiness = asyncio.create_task(self.announce_ready(component, started))
        code = await process.wait()
        readiness.cancel()
        del self.running[component.name]
        await asyncio.to_thread(end_session, process.pid)
        if component.once and code == 0:
            self.say(component.name, "done", f"{time.monotonic() - started:.1f} s")
            self.ready[component.name].set()
        return code

    async def spawn(self, component: Component) -> Process:
        with self.open_log(component.name) as log:
            return await asyncio.create_subprocess_exec(
                *component.argv(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=component.environment(),
                cwd=component.cwd,
                start_new_session=True,
                **identity(component.user),
            )

    async def announce_ready(self, component: Component, started: float) -> None:
        """Ask until the component answers; one that does not in time is ended, and so counts as dead."""
        if component.once:
            return
        while component.ready and not await asyncio.to_thread(component.ready):
            if time.monotonic() - started > component.deadline:
                self.say(component.name, "silent", f"no answer for {component.deadline:.0f} s; ending it")
                with contextlib.suppress(ProcessLookupError):
                    self.running[component.name].kill()
                return
            await asyncio.sleep(ASK_EVERY)
        again = " again" if self.ready[component.name].is_set() else ""
        self.ready[component.name].set()
        state = "ready" if component.ready else "started"
        self.say(component.name, state + again, f"{time.monotonic() - started:.1f} s")

    def give_up(self, component: Component, why: str) -> None:
        log = self.logs / f"{component.name}.log"
        self.say(component.name, "failed", why)
        self.failure = self.failure or f"{component.name} {why}. The end of {log}:\n{tail(log)}"
        self.stopping.set()

    async def stop(self) -> None:
        """End every component, the ones that others need last; returns when all are gone."""
        self.stopping.set()
        ended: dict[str, asyncio.Task[None]] = {}

        async def end(component: Component) -> None:
            users = [ended[name] for name, other in self.components.items() if component.name in other.needs]
            if users:
                await asyncio.wait(users)
            await self.end(component)

        for name in reversed(list(self.components)):
            ended[name] = asyncio.create_task(end(self.components[name]))
        if ended:
            await asyncio.wait(ended.values())
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        self.record.unlink(missing_ok=True)

    async def end(self, component: Component) -> None:
        task, process = self.tasks.get(component.name), self.running.get(component.name)
        if task is None:
            return
        if process is None:
            task.cancel()
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM if component.once else component.stop_signal)
        done, _ = await asyncio.wait({task}, timeout=component.stop_after)
        if not done:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.wait({task}, timeout=5)

    def open_log(self, name: str) -> IO[bytes]:
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def write_record(self, name: str, pid: int) -> None:
        self.recorded[name] = (pid, processes.start_time(pid))
        write_record(self.record, self.recorded)


def write_record(path: Path, recorded: dict[str, tuple[int, str]]) -> None:
    """Note which processes this boot started, by pid and start time, whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"boot": processes.boot_id(), "started": recorded}))
    fresh.replace(path)


def end_session(leader: int) -> None:
    """End what a dead component left behind: the processes of the session that it led."""
    processes.end(
        lambda: {pid for pid in processes.every_pid() if processes.session_of(pid) == leader}, patience=1
    )


def outcome(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def tail(log: Path, lines: int = 8) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])
    return "    (nothing)"


def say_on(stream: IO[str], width: int) -> Say:
    """One line per change: the component, its state, and what there is to say about it."""
    colours = {"ready": "32", "started": "32", "done": "32", "died": "33", "silent": "33", "failed": "31"}

    def say(name: str, state: str, detail: str = "") -> None:
        shown = f"{state:<13}"
        if stream.isatty():
            shown = f"\x1b[{colours[state.split()[0]]}m{shown}\x1b[0m"
        with contextlib.suppress(OSError):
            print(f"  {name:<{width}}  {shown}  {detail}".rstrip(), file=stream, flush=True)

    return say


def say_nothing(name: str, state: str, detail: str = "") -> None:
    """For callers whose own output must stay the last line."""
