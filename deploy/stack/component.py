"""What the supervisor knows of one component: how to prepare, start, ask and stop it."""

import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Check = Callable[[], bool]

BARE_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True)
class Component:
    """One process under the supervisor, or with `once` a step that must end well before others start.

    `command` may be a function where the command is only known once `needs` are there. `prepare` and `ready`
    block and are run in threads; `ready` is asked until it is true. `deadline` and `stop_after` are seconds.
    """

    name: str
    command: Sequence[str] | Callable[[], Sequence[str]]
    needs: Sequence[str] = ()
    user: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    prepare: Callable[[], None] | None = None
    ready: Check | None = None
    once: bool = False
    deadline: float = 60
    stop_signal: signal.Signals = signal.SIGTERM
    stop_after: float = 10

    def argv(self) -> list[str]:
        return list(self.command() if callable(self.command) else self.command)

    def environment(self) -> dict[str, str]:
        return {**BARE_ENVIRONMENT, **self.env}


def answers(port: int, host: str = "127.0.0.1", *, greeting: bytes = b"") -> Check:
    """A check that something listens at `port`, and greets with `greeting` where one is given."""

    def check() -> bool:
        try:
            with socket.create_connection((host, port), timeout=2) as connection:
                connection.settimeout(2)
                return not greeting or connection.recv(256).startswith(greeting)
        except OSError:
            return False

    return check


def answers_at(path: Path) -> Check:
    """A check that something listens at the unix socket `path`."""

    def check() -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(2)
            try:
                connection.connect(os.fspath(path))
            except OSError:
                return False
            return True

    return check


def all_of(*checks: Check) -> Check:
    """A check that is true when every one of `checks` is."""
    return lambda: all(check() for check in checks)
