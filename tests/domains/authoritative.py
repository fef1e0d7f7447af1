"""A real authoritative server (Knot) for the zone `test.`, in which a test publishes as a domain's owner
would.
"""

import subprocess
import tempfile
import time
from pathlib import Path

import dns.query
import dns.rcode
import dns.update

from tests.ports import free_port

CONFIGURATION = """
server:
    listen: 127.0.0.1@{port}
    rundir: {home}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: {home}
acl:
  - id: loopback
    address: 127.0.0.0/8
    action: [update]
zone:
  - domain: test
    storage: {home}
    file: test.zone
    acl: loopback
    semantic-checks: off
"""
ZONE = """$ORIGIN test.
$TTL 1
@ SOA ns.test. hostmaster.test. 1 3600 600 86400 1
@ NS ns.test.
ns A 127.0.0.1
"""


class Authoritative:
    """Serves `test.` until `stop`. What a test publishes is taken back by `clear`."""

    def __init__(self) -> None:
        self._published: set[tuple[str, str]] = set()
        self._home = tempfile.TemporaryDirectory(prefix="knot")
        for attempt in range(5):  # another program may take the free port first
            self._start(Path(self._home.name) / str(attempt))
            if self._answers():
                return
            self._end()
        raise AssertionError(f"knotd does not answer; see {self._home.name}")

    def _start(self, home: Path) -> None:
        self.port = free_port()
        home.mkdir()
        (home / "test.zone").write_text(ZONE)
        (home / "knot.conf").write_text(CONFIGURATION.format(port=self.port, home=home))
        with (home / "log").open("w") as log:
            self._process = subprocess.Popen(["knotd", "-c", home / "knot.conf"], stdout=log, stderr=log)

    @property
    def nameservers(self) -> list[str]:
        """For settings.DNS_NAMESERVERS."""
        return [f"127.0.0.1@{self.port}"]

    def publish_all(self, records: dict[tuple[str, str], list[str]]) -> None:
        """Many at once: (name, type) -> values."""
        update = dns.update.UpdateMessage("test.")
        for (name, rdtype), values in records.items():
            for value in values:
                update.add(f"{name}.", 1, rdtype, _quoted(value) if rdtype == "TXT" else value)
        self._send(update)
        self._published.update(records)

    def publish(self, name: str, rdtype: str, *values: str) -> None:
        """Replace the records of this name and type; TXT values are given without quotes, longer ones are cut
        in chunks of 200.
        """
        update = dns.update.UpdateMessage("test.")
        update.delete(f"{name}.", rdtype)
        for value in values:
            update.add(f"{name}.", 1, rdtype, _quoted(value) if rdtype == "TXT" else value)
        self._send(update)
        self._published.add((name, rdtype))

    def clear(self) -> None:
        update = dns.update.UpdateMessage("test.")
        for name, rdtype in self._published:
            update.delete(f"{name}.", rdtype)
        if self._published:
            self._send(update)
        self._published.clear()

    def stop(self) -> None:
        self._end()
        self._home.cleanup()

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _send(self, update: dns.update.UpdateMessage) -> None:
        answer = dns.query.tcp(update, "127.0.0.1", port=self.port, timeout=5)
        assert answer.rcode() == dns.rcode.NOERROR, dns.rcode.to_text(answer.rcode())

    def _answers(self) -> bool:
        query = dns.message.make_query("test.", "SOA")
        ends_at = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < ends_at:
            try:
                if dns.query.udp(query, "127.0.0.1", port=self.port, timeout=0.5).answer:
                    return True
            except (OSError, dns.exception.DNSException):
                time.sleep(0.05)
        return False


def _quoted(text: str) -> str:
    chunks = [text[at : at + 200].replace('"', '\\"') for at in range(0, len(text), 200)] or [""]
    return " ".join(f'"{chunk}"' for chunk in chunks)
