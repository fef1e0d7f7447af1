"""The running stack that these tests are about, as its stack.json describes it."""

import contextlib
import json
import os
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from deploy.stack.processes import start_time
from tests.e2e.waiting import eventually

LOOK_EVERY = 0.02


@dataclass(frozen=True)
class Server:
    """One mail server: its name, and the address and ports that mail clients use."""

    facts: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    @property
    def short(self) -> str:
        """What the names of its processes begin with."""
        return self.directory.name

    @property
    def host(self) -> str:
        return str(self.facts["host"])

    @property
    def directory(self) -> Path:
        return Path(self.facts["dir"])

    @property
    def agent(self) -> tuple[str, int]:
        """Address and port of the agent that the panel speaks to."""
        url = urlsplit(self.facts["agent"])
        return str(url.hostname), int(url.port or 443)

    def at(self, service: str) -> tuple[str, int]:
        """Address and port of a service (smtp, submission, imaps, …)."""
        return self.host, int(self.facts[service])


class Stack:
    """`facts` is stack.json; `var` the directory it lies in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.var = path.parent
        self.facts: dict[str, Any] = json.loads(path.read_text())
        self.panel = str(self.facts["panel"])
        self.outbox = Path(self.facts["outbox"])
        self.servers = [Server(facts) for facts in self.facts["servers"]]
        self.tls = ssl.create_default_context(cafile=self.facts["tls_ca"])

    @property
    def dns(self) -> tuple[str, int]:
        host, _, port = self.facts["dns"].partition(":")
        return host, int(port)

    @property
    def artifacts(self) -> Path:
        """Where pictures of pages are kept."""
        return self.var / "artifacts"

    def sign_in(self, who: str) -> dict[str, str]:
        """E-mail and password of `staff`, `customer`, `reader` or `stranger`, with what else belongs to it."""
        facts: dict[str, str] = self.facts["sign_ins"][who]
        return facts

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The answer of the panel's own database, in a transaction of its own."""
        with psycopg.connect(self.facts["database"], autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(query, values)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def rows_or_none(self, query: str) -> list[tuple[Any, ...]] | None:
        """The answer of the panel's database; None while it does not answer."""
        try:
            return self.rows(query)
        except psycopg.OperationalError:
            return None

    def server_of(self, customer: str) -> Server:
        """The mail server on which the customer of this username is placed; AssertionError while it is not."""
        query = """SELECT s.name FROM domains_mailserver s JOIN domains_placement p ON p.server_id = s.id
            JOIN accounts_customer c ON c.id = p.customer_id WHERE c.username = %s AND p.placed_at IS NOT NULL"""
        names = [row[0] for row in self.rows(query, customer)]
        assert names, f"{customer} has no mail server"
        return next(server for server in self.servers if server.name == names[0])

    def pid(self, component: str) -> int | None:
        """The process that the supervisor runs as this component now; None between two of them. The time at
        which it started tells it from another process that was given its number.
        """
        pid, started = json.loads((self.var / "started.json").read_text())["started"][component]
        return int(pid) if started and start_time(pid) == started else None

    def kill(self, component: str, number: signal.Signals = signal.SIGKILL, *, after: float = 0) -> None:
        """Send a signal to a component of this stack; waits for its next process where it is between two, and until
        it has run for `after` seconds, so that it is hit at its work and not each time at its start.
        """

        def at_work() -> int | None:
            pid = self.pid(component)
            return pid if pid and seconds_of(pid) >= after else None

        pid = eventually(at_work, 30, every=LOOK_EVERY)
        assert pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    @contextlib.contextmanager
    def held_down(self, component: str) -> Iterator[None]:
        """Kill a component, and again as often as the supervisor starts it, until the block ends."""
        self.kill(component)
        over = threading.Event()

        def hold() -> None:
            while not over.is_set():
                if self.pid(component):
                    self.kill(component)
                over.wait(LOOK_EVERY)

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def seconds_of(pid: int) -> float:
    """For how long a process has run; 0 when it is gone."""
    ticks = float(start_time(pid) or "inf")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
