"""A real mail server's agent, alone: its directory, its databases and its HTTPS, without Postfix and
Dovecot.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

from domains.driver.rows import contents
from domains.enrolment import enrol
from domains.models import MailServer, ServerRow
from domains.models.server import standard_ports
from mailnode import wire
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = """
name = "{name}"
listen = ["127.0.0.1"]
dns = ["127.0.0.1:9"]
internet = false
[agent]
address = "127.0.0.1"
port = {port}
"""


class RealAgent:
    """One mail server's agent; `start`, `kill` and `wipe` it as often as a test likes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.home = Path(tempfile.mkdtemp(prefix="n", dir="/tmp"))
        self.home.chmod(0o755)
        (self.home / "node.toml").write_text(SETTINGS.format(name=name, port=self.port))
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._command("users")
        self.facts = self._initialise()
        self._pristine = self.copy()

    def enrol(self) -> MailServer:
        server, _ = enrol(
            name=self.name, address="127.0.0.1", agent_url=f"https://127.0.0.1:{self.port}",
            certificate_sha256=self.facts["certificate_sha256"], ports=standard_ports(),
            agent_key=Path(self.facts["key_file"]).read_text().strip(),
        )  # fmt: skip
        return server

    def start(self, before: str = "") -> None:
        """`before`: statements that make another version of it, before anything of mailnode but `wire` is loaded."""
        log = (self.home / "agent.log").open("ab")
        code = f"import runpy\nfrom mailnode import wire\n{before}\nrunpy.run_module('mailnode', run_name='__main__')"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, "--dir", self.home, "agent"], cwd=ROOT, stderr=log, stdout=log
        )
        ends_at = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, (self.home / "agent.log").read_text()[-2000:]
            assert time.monotonic() < ends_at, "the agent does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def start_keeper(self) -> None:
        """Beside the agent, for what only root can do; where it runs already it goes on."""
        if self._keeper is not None:
            return
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "mailnode", "--dir", self.home, "keeper"], cwd=ROOT
        )
        ends_at = time.monotonic() + 60
        while not (self.home / "run/keeper.sock").exists():
            assert time.monotonic() < ends_at, "the keeper does not answer"
            time.sleep(0.05)

    def kill_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.wait()
            self._keeper = None
            (self.home / "run/keeper.sock").unlink()

    def initialise_again(self) -> None:
        """As each start of a mail server does."""
        self.facts = self._initialise()

    def forget_renewal(self) -> None:
        """Leave none half done to the next test, and know the present key and certificate."""
        for name in ("enrol/agent.key.next", "agent/agent.next.pem"):
            (self.home / name).unlink(missing_ok=True)
        self.initialise_again()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        self.kill()
        self.kill_keeper()
        shutil.rmtree(self.home)
        shutil.rmtree(self._pristine.parent)

    def copy(self) -> Path:
        """A copy of the databases, with owners and modes, taken while the agent is down."""
        target = Path(tempfile.mkdtemp(prefix="c", dir="/tmp"))
        subprocess.run(["cp", "-a", self.home, target / "copy"], check=True)
        return target / "copy"

    def bring_back(self, copy: Path) -> None:
        """Replace the databases and keys by those of a copy, with owners and modes."""
        self._replace_by(copy)

    def wipe(self) -> None:
        """A fresh node under the old certificate and key: every row forgotten."""
        self._replace_by(self._pristine)

    def query(self, sql: str, *values: Any, file: str = "db/node.db") -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self.home / file}?mode=rw", uri=True, timeout=10)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def execute(self, sql: str, *values: Any, file: str = "db/node.db") -> None:
        connection = sqlite3.connect(f"file:{self.home / file}?mode=rw", uri=True, timeout=10)
        with connection:
            connection.execute(sql, values)
        connection.close()

    @property
    def point(self) -> tuple[int, str]:
        return self.query("SELECT revision, mark FROM meta")[0]

    @property
    def effective(self) -> int:
        return int(self.query("SELECT effective FROM meta")[0][0])

    def _replace_by(self, copy: Path) -> None:
        for name in ("db", "secrets", "usage", "dkim"):
            subprocess.run(["rm", "-rf", self.home / name], check=True)
            subprocess.run(["cp", "-a", copy / name, self.home / name], check=True)

    def _initialise(self) -> dict[str, str]:
        return dict(json.loads(self._command("--dir", str(self.home), "init")))

    def _command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "mailnode", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _answers(self) -> bool:
        try:
            requests.get(f"https://127.0.0.1:{self.port}/v1/status", verify=False, timeout=1)  # noqa: S501 only whether
        except requests.RequestException:
            return False
        return True


def held(agent: RealAgent) -> dict[tuple[str, str], Any]:
    """Every row that the node really holds, from its files, as the wire would carry it."""
    rows: dict[tuple[str, str], Any] = {}
    names = ("username", "storage_bytes", "contact", "sends_per_day", "sends_per_day_in_sum")
    for key, *values in agent.query(f"SELECT id, {', '.join(names)} FROM customers"):  # noqa: S608 names of ours
        rows["customer", key] = wire.Customer(**dict(zip(names, values, strict=True)))
    for key, customer, name, accepts in agent.query("SELECT id, customer, name, accepts FROM domains"):
        rows["domain", key] = wire.Domain(customer=customer, name=name, accepts=bool(accepts))
    query = "SELECT mailbox, secret, hash FROM secrets"
    hashes = {(key, secret): text for key, secret, text in agent.query(query, file="secrets/secrets.db")}
    names = ("domain", "local_part", "quota_bytes", "sends_per_day", "raised_to", "raised_until")
    for key, secret, *values in agent.query(f"SELECT id, secret, {', '.join(names)} FROM mailboxes"):  # noqa: S608 as above
        facts = dict(zip(names, values, strict=True))
        rows["mailbox", key] = wire.Mailbox(**facts, password_hash=hashes.pop((key, secret)))
    assert not hashes, "hashes that no mailbox has"
    rows |= _dkim_keys(agent) | _states(agent)
    return rows


def wished(server: MailServer) -> dict[tuple[str, str], Any]:
    """Every row that the panel wants the node to hold."""
    index = ServerRow.objects.filter(server=server, gone=False).values_list("kind", "key")
    return {(row.kind, row.key): wire.data_of(row) for row in contents(index) if row.data is not None}


def in_step(agent: RealAgent, server: MailServer) -> bool:
    return held(agent) == wished(server)


def _dkim_keys(agent: RealAgent) -> dict[tuple[str, str], Any]:
    found = {}
    query = "SELECT k.id, k.domain, k.selector, d.name FROM dkim k JOIN domains d ON d.id = k.domain"
    for key, domain, selector, name in agent.query(query):
        files = [
            file for file in (agent.home / "dkim").rglob("*") if name in str(file) and selector in file.name
        ]
        private = next(file.read_text() for file in files if file.is_file())
        found["dkim", key] = wire.Dkim(domain=domain, selector=selector, private_key=private)
    return found


def _states(agent: RealAgent) -> dict[tuple[str, str], Any]:
    found = {}
    query = "SELECT id, subject_kind, subject, sign_in, send, receive, reason, until FROM states"
    for key, kind, subject, sign_in, send, receive, reason, until in agent.query(query):
        flags = {"sign_in": sign_in, "send": send, "receive": receive}
        stops = [name for name, is_stopped in flags.items() if is_stopped]
        found["state", key] = wire.State(
            subject_kind=kind, subject=subject, stops=stops, reason=reason, until=until
        )
    return found


def environment(**more: str) -> dict[str, str]:
    """For a process of the panel's own beside the test."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}
