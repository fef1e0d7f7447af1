"""A mail server of a benchmark's own: what `mailnode init` and `render` make, without a panel."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

import msgspec

from mailnode import settings as node_settings
from mailnode import wire
from mailnode.processes import processes
from mailnode.settings import Ports
from mailnode.store import Store
from tests.bench.changes_rate import READY_HASH
from tests.bench.dovecot_auth import connect
from tests.ports import free_port, free_ports

READY_WITHIN = 30


class ScratchNode:
    """The mail server in `directory`, which is made, and removed at the end with all that was started."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        names = [field.name for field in msgspec.structs.fields(Ports)]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        agent = free_port()
        (directory / "node.toml").write_text(node_toml(f"{directory.name}.bench.test", self.ports, agent))
        self.agent_url = f"https://127.0.0.1:{agent}"
        self.facts: dict[str, str] = json.loads(self._mailnode("init"))
        self._mailnode("render")
        self.settings = node_settings.load(directory)
        self.postfix = directory / "postfix" / "etc"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process, stop in reversed(self._running.values()):
            process.send_signal(stop)
            process.wait(timeout=30)
        shutil.rmtree(self.directory)

    def fill(self, domains: dict[str, list[str]], stopped: int = 0) -> None:
        """Apply one customer with these local parts of these domains, page by page as the agent does; every
        `stopped`th mailbox of a domain may not receive.
        """
        store = Store(self.settings)
        try:
            for page in pages(list(rows(domains, stopped)), store.point()):
                store.apply(page)
        finally:
            store.close()

    def start(self, *names: str) -> None:
        """Start these of mailnode's daemons and wait until they answer. TimeoutError when one does not."""
        for process in processes(self.settings):
            if process.name in names:
                child = subprocess.Popen(process.argv, start_new_session=True, stdout=subprocess.DEVNULL)
                self._running[process.name] = child, signal.Signals[f"SIG{process.stop}"]
                wait_for(process.ready)

    def pid(self, name: str) -> int:
        """Of a daemon that was started."""
        return self._running[name][0].pid

    def peak_kb(self, name: str) -> int:
        """The most memory that a daemon ever held, in KiB (VmHWM of proc(5))."""
        status = Path(f"/proc/{self.pid(name)}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))

    def _mailnode(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "mailnode", "--dir", str(self.directory), *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def scratch_node(directory: Path) -> Iterator[ScratchNode]:
    with ScratchNode(directory) as node:
        yield node


def node_toml(name: str, ports: dict[str, int], agent: int) -> str:
    lines = [
        f'name = "{name}"', 'listen = ["127.0.0.1"]', "internet = false", "delay_failed_sign_ins = false",
        "[agent]", 'address = "127.0.0.1"', f"port = {agent}",
        "[ports]", *(f"{service} = {port}" for service, port in ports.items()),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def rows(domains: dict[str, list[str]], stopped: int) -> Iterator[wire.Row]:
    customer = uuid4()
    yield wire.row("customer", customer.hex, wire.Customer(username="bench", storage_bytes=None))
    for name, local_parts in domains.items():
        domain = uuid4()
        yield wire.row("domain", domain.hex, wire.Domain(customer=customer.hex, name=name))
        for number, local_part in enumerate(local_parts):
            yield from mailbox_rows(domain, local_part, stops=bool(stopped) and number % stopped == 0)


def mailbox_rows(domain: UUID, local_part: str, *, stops: bool) -> Iterator[wire.Row]:
    mailbox = uuid4()
    data = wire.Mailbox(domain=domain.hex, local_part=local_part, quota_bytes=0, password_hash=READY_HASH)
    yield wire.row("mailbox", mailbox.hex, data)
    if stops:
        state = wire.State(
            subject_kind="mailbox", subject=mailbox.hex, stops=["receive"], reason="", until=None
        )
        yield wire.row("state", uuid4().hex, state)


def pages(all_rows: list[wire.Row], base: wire.Point) -> Iterator[wire.Changes]:
    for start in range(0, len(all_rows), wire.MAX_ROWS):
        after = wire.Point(revision=base.revision + 1, mark=uuid4().hex)
        page = all_rows[start : start + wire.MAX_ROWS]
        yield wire.Changes(wire=wire.WIRE, base=base, revision=after.revision, mark=after.mark, rows=page)
        base = after


def wait_for(endpoint: str) -> None:
    """Until somebody listens at a unix socket's path or at address:port."""
    deadline = time.monotonic() + READY_WITHIN
    while True:
        try:
            if endpoint.startswith("/"):
                connect(Path(endpoint)).close()
            else:
                host, _, port = endpoint.rpartition(":")
                socket.create_connection((host, int(port))).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing answers at {endpoint}") from None
        time.sleep(0.05)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
