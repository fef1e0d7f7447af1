"""A mail server for tests, in a directory of its own below /tmp (socket paths must be short)."""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from argon2 import PasswordHasher

from mailnode import settings as node_settings
from mailnode import users, wire
from mailnode.processes import Process, processes
from tests.ports import free_ports

CODE = Path(__file__).parent.parent.parent
PORTS = tuple(node_settings.Ports.__struct_fields__)
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class Server:
    """One mail server; daemons are started by name and end with the test."""

    def __init__(self, directory: Path | None = None) -> None:
        users.create(node_settings.Users())
        self.directory = directory or Path(tempfile.mkdtemp(prefix="mx", dir="/tmp"))
        self.directory.chmod(0o755)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = dict(os.environ)
        ports = dict(zip((*PORTS, "agent"), free_ports(len(PORTS) + 1), strict=True))
        self.agent_port = ports.pop("agent")
        self.ports = ports
        self.write_settings()
        self.made = json.loads(self.command("init"))

    def write_settings(self, **more: str) -> None:
        """node.toml of a server as the local stack has it; `more` are lines beside the usual ones."""
        lines = ['name = "mx1.mxpanel.test"', 'listen = ["127.0.0.1"]', 'dns = ["127.0.0.1:9"]']
        lines += ["internet = false", "test_patterns = true", "delay_failed_sign_ins = false"]
        lines += [f"{name} = {value}" for name, value in more.items()]
        lines += ["[agent]", 'address = "127.0.0.1"', f"port = {self.agent_port}", "[ports]"]
        lines += [f"{name} = {port}" for name, port in self.ports.items()]
        (self.directory / "node.toml").write_text("\n".join(lines) + "\n")
        self.settings = node_settings.load(self.directory)

    def command(self, *arguments: str) -> str:
        """Run a command of mailnode's command line; returns what it printed."""
        argv = [sys.executable, "-m", "mailnode", "--dir", str(self.directory), *arguments]
        return subprocess.run(argv, check=True, capture_output=True, text=True, cwd=CODE).stdout

    def start(self, *names: str) -> None:
        """Start these daemons (all without names) and wait until each answers."""
        for process in processes(self.settings):
            if not names or process.name in names:
                with (self.directory / f"log/{process.name}.out").open("ab") as log:
                    self.running[process.name] = subprocess.Popen(
                        process.argv,
                        cwd=CODE,
                        env=self.environment,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                self.wait_until_ready(process)

    def wait_until_ready(self, process: Process) -> None:
        deadline = time.monotonic() + 40
        while not answers(process.ready):
            output = self.directory / f"log/{process.name}.out"
            assert self.running[process.name].poll() is None, output.read_text()
            assert time.monotonic() < deadline, f"{process.name} does not answer"
            time.sleep(0.02)

    def stop(self, *names: str, with_signal: int = signal.SIGTERM) -> None:
        """End these daemons (all without names), latest first."""
        for name in reversed([name for name in self.running if not names or name in names]):
            process = self.running.pop(name)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, with_signal)
            process.wait(timeout=30)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def call(
        self, method: str, path: str, body: bytes | None = None, key: str | None = None
    ) -> tuple[int, bytes]:
        """One call to the agent: (HTTP status, body)."""
        context = ssl.create_default_context(cafile=self.settings.agent_directory / "agent.pem")
        client = http.client.HTTPSConnection("127.0.0.1", self.agent_port, context=context, timeout=30)
        bearer = self.settings.key_file.read_text().strip() if key is None else key
        try:
            client.request(method, path, body=body, headers={"Authorization": f"Bearer {bearer}"})
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()

    def status(self) -> wire.Status:
        code, body = self.call("GET", "/v1/status")
        assert code == 200, body
        return wire.decode(body, wire.Status)

    def usage(self, after: str = "") -> wire.UsagePage:
        code, body = self.call("GET", f"/v1/usage?after={after}")
        assert code == 200, body
        return wire.decode(body, wire.UsagePage)

    def page(self, *rows: wire.Row, base: wire.Point | None = None) -> wire.Changes:
        """The next page of changes with these rows."""
        status = self.status()
        base = base or wire.Point(revision=status.revision, mark=status.mark)
        mark = secrets.token_urlsafe(8)
        return wire.Changes(wire=1, base=base, revision=base.revision + 1, mark=mark, rows=list(rows))

    def push(self, *rows: wire.Row) -> wire.Applied:
        """Send a page; it must become effective at once."""
        code, body = self.call("POST", "/v1/changes", wire.encode(self.page(*rows)))
        assert code == 200, body
        applied = wire.decode(body, wire.Applied)
        assert applied.effective == applied.revision, self.status().lag_error
        return applied

    def rebuild(self, *rows: wire.Row) -> wire.Applied:
        """Have the node hold these rows and no others; it must become effective at once."""
        revision = self.status().revision + 1
        made = {"rebuild": uuid.uuid4().hex, "revision": revision, "mark": secrets.token_urlsafe(8)}
        page = wire.Rebuild(wire=wire.WIRE, seq=0, rows=list(rows), last=True, **made)
        code, body = self.call("POST", "/v1/rebuild", wire.encode(page))
        assert code == 200, body
        applied = wire.decode(body, wire.Applied)
        assert applied.effective == revision, self.status().lag_error
        return applied


@contextlib.contextmanager
def running_on(directory: Path) -> Iterator[Server]:
    """A mail server in this directory, whose daemons end with the block."""
    server = Server(directory)
    try:
        yield server
    finally:
        server.stop()


def answers(place: str) -> bool:
    """Whether somebody accepts connections at a unix socket or host:port."""
    family = socket.AF_UNIX if place.startswith("/") else socket.AF_INET
    host, _, port = place.rpartition(":")
    with socket.socket(family) as client:
        try:
            client.connect(place if family == socket.AF_UNIX else (host, int(port)))
        except OSError:
            return False
    return True


def identity(name: str) -> str:
    """The id that tests give to what is called so."""
    return uuid.uuid5(uuid.NAMESPACE_DNS, name).hex


def password_hash(password: str) -> str:
    return "{ARGON2ID}" + HASHER.hash(password)


FAKE_HASH = "{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$VGhpcyBpcyBubyBoYXNo"  # where nobody signs in


def customer(name: str, storage_bytes: int | None = None, contact: str = "") -> wire.Row:
    data = wire.Customer(username=name, storage_bytes=storage_bytes, contact=contact)
    return wire.row("customer", identity(name), data)


def domain(name: str, owner: str = "acme", accepts: bool = True) -> wire.Row:
    return wire.row(
        "domain", identity(name), wire.Domain(customer=identity(owner), name=name, accepts=accepts)
    )


def mailbox(address: str, quota: int = 0, secret: str = FAKE_HASH, key: str = "") -> wire.Row:
    local_part, _, name = address.rpartition("@")
    fields = {"domain": identity(name), "local_part": local_part, "quota_bytes": quota}
    return wire.row("mailbox", identity(key or address), wire.Mailbox(**fields, password_hash=secret))


def dkim_key(name: str, private_key: str, selector: str = "k1", key: str = "") -> wire.Row:
    data = wire.Dkim(domain=identity(name), selector=selector, private_key=private_key)
    return wire.row("dkim", identity(key or f"{selector}.{name}"), data)


def state(
    subject: str, kind: str, *stops: str, reason: str = "unpaid", until: int | None = None, key: str = ""
) -> wire.Row:
    fields = {"subject_kind": kind, "subject": identity(subject), "stops": list(stops)}
    return wire.row(
        "state", identity(key or f"state of {subject}"), wire.State(**fields, reason=reason, until=until)
    )


def gone(kind: str, name: str) -> wire.Row:
    return wire.row(kind, identity(name), None)


def new_private_key() -> str:
    made = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True, text=True)
    return made.stdout
