"""One stack from its start to its end: lock, clean-up, namespace, components, stack.json, stop."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator

from deploy.stack import ground, keys, leftovers, mail, namespace, panel, processes, record, zone
from deploy.stack.component import Component
from deploy.stack.layout import Layout, StackError
from deploy.stack.supervisor import Supervisor, say_on

READY_DEADLINE = 90
KEPT_WHEN_FRESH = frozenset({"cache", "stack.lock"})

Body = Callable[[Supervisor, dict[str, str]], Awaitable[int]]


def run(layout: Layout, body: Body, *, own_settings: bool = False, started: float | None = None) -> int:
    """Start the stack, run `body(supervisor, panel settings)`, end the stack; the body's exit code.

    `own_settings`: the panel's settings come from the stack alone, not from the environment.
    """
    started = started or time.monotonic()
    with held(layout):
        announce_cleared(leftovers.clear(layout))
        check_ports(layout)
        why_not = namespace.enter(layout)
        if why_not:
            namespace.do_without(layout)
            print(f"No mount namespace ({why_not}): mail to other machines' MX is off.", flush=True)
        secrets = keys.load(layout.var / "secrets")
        env = panel.settings(layout, secrets, {} if own_settings else os.environ)
        try:
            return asyncio.run(conduct(layout, secrets, env, body, started))
        finally:
            processes.end(lambda: leftovers.leftovers(layout), patience=5)
            if not layout.namespaced:
                shutil.rmtree(layout.run, ignore_errors=True)


async def conduct(
    layout: Layout, secrets: dict[str, str], env: dict[str, str], body: Body, started: float
) -> int:
    """Inside the event loop: start, wait for readiness, body, stop."""
    components = everything(layout, secrets, env)
    say = say_on(sys.stdout, max(len(component.name) for component in components))
    logs = layout.real_var / "log"
    logs.mkdir(mode=0o755, exist_ok=True)
    supervisor = Supervisor(components, logs, leftovers.record_of(layout), say)
    with stopped_by_signals(supervisor):
        try:
            await supervisor.start()
            if not supervisor.stopping.is_set():
                await answering(supervisor, layout)
            if supervisor.stopping.is_set():
                return 130
            record.write(layout, env, secrets, supervisor.pids(), time.monotonic() - started)
            return await body(supervisor, env)
        finally:
            (layout.real_var / "stack.json").unlink(missing_ok=True)
            await supervisor.stop()


def everything(layout: Layout, secrets: dict[str, str], env: dict[str, str]) -> list[Component]:
    servers = mail.MailServers(layout)
    return [
        *ground.components(layout, secrets),
        zone.knot(layout),
        *servers.components(),
        *panel.components(layout, env, servers.enrolments),
    ]


async def answering(supervisor: Supervisor, layout: Layout) -> None:
    """Wait until the panel says that database, broker, workers and every mail server are well."""
    url = f"http://127.0.0.1:{layout.port('web')}/readyz"
    deadline, found = time.monotonic() + READY_DEADLINE, ""
    while not supervisor.stopping.is_set():
        found = await asyncio.to_thread(page, url)
        if '"status": "ok"' in found:
            return
        if time.monotonic() > deadline:
            raise StackError(f"The stack started but does not become well. {url} says: {found}")
        await asyncio.sleep(0.1)


def page(url: str) -> str:
    """The text of a page, whatever its status; what went wrong where there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 (our own web server)
            return str(reply.read(1 << 16).decode())
    except urllib.error.HTTPError as error:
        return error.read(1 << 16).decode(errors="replace")
    except OSError as error:
        return str(error)


@contextlib.contextmanager
def stopped_by_signals(supervisor: Supervisor) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal stop the stack; a second one changes nothing."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stopping.set)
    yield
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.remove_signal_handler(number)


@contextlib.contextmanager
def held(layout: Layout) -> Iterator[None]:
    """The stack's lock for as long as it lives. Raises StackError when another supervisor has it."""
    layout.real_var.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (layout.real_var / "stack.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StackError(
                f"A stack runs in {layout.real_var} already (process {owner(layout)[0] or 'unknown'}). "
                "Stop it with `make stack-stop`, or choose another VAR and PORT_BASE."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()} {processes.start_time(os.getpid())}\n")
        lock.flush()
        (layout.real_var / "stack.json").unlink(missing_ok=True)
        yield


def owner(layout: Layout) -> tuple[int, str]:
    """Pid and start time of the supervisor that holds, or held last, the stack's lock; (0, "") if unknown."""
    with contextlib.suppress(OSError, ValueError):
        pid, start = (layout.real_var / "stack.lock").read_text().split()
        return int(pid), start
    return 0, ""


def stop(layout: Layout, patience: float = 60) -> int:
    """End the stack if it runs, and whatever a killed one left. Raises StackError if it does not end."""
    if not layout.real_var.is_dir():
        print("Nothing runs.")
        return 0
    pid, start = owner(layout)
    deadline = time.monotonic() + patience
    while True:
        try:
            with held(layout):
                announce_cleared(leftovers.clear(layout))
                print("Nothing of this stack runs any more.")
                return 0
        except StackError:
            if time.monotonic() > deadline or not pid:
                raise
        if processes.start_time(pid) == start:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        time.sleep(0.5)


def make_fresh(layout: Layout) -> None:
    """Empty a stack's directory but for its caches. Raises StackError if it does not look like one."""
    if not layout.real_var.exists():
        return
    entries = list(layout.real_var.iterdir())
    if entries and not (layout.real_var / "stack.lock").exists():
        raise StackError(f"{layout.real_var} holds something that is not a stack; choose another VAR.")
    with held(layout):
        announce_cleared(leftovers.clear(layout))
        for entry in entries:
            if entry.name in KEPT_WHEN_FRESH:
                continue
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink(
                missing_ok=True
            )


def announce_cleared(count: int) -> None:
    if count:
        print(f"Ended {count} processes that an earlier stack of this directory had left.", flush=True)


def check_ports(layout: Layout) -> None:
    """Raises StackError naming every port that is taken, by whom, and what to do."""
    taken = [
        f"  {address}:{port} ({name}) is held by {processes.holder_of(port)}"
        for (address, port), name in layout.listeners().items()
        if not processes.is_free(address, port)
    ]
    if taken:
        raise StackError(
            "Ports of this stack are in use:\n" + "\n".join(taken) + "\n"
            f"End what holds them, or choose another PORT_BASE (now {layout.port_base})."
        )
