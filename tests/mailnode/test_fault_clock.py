"""The node's clock is an hour off, in either direction, and is set while everything runs."""

import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailnode import wire
from tests.mailnode.clients import ask
from tests.mailnode.panel import different, hashes
from tests.mailnode.server import Server, customer, dkim_key, domain, gone, identity, mailbox, state
from tests.node_files import holding

HOUR = 3_600
ANNA = "anna@acme.test"


class Clock:
    """The clock of a mail server's agent, keeper and look-up service (libfaketime)."""

    def __init__(self, server: Server, place: Path) -> None:
        self.server, self.place = server, place
        self.set(0)
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        server.environment |= {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(place),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds: int) -> None:
        """So many seconds before the true time."""
        new = self.place.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.chmod(0o644)
        new.replace(self.place)


@pytest.fixture(scope="module")
def running() -> Iterator[Clock]:
    server = Server()
    try:
        clock = Clock(server, server.directory / "clock")
        server.start("keeper", "agent", "lookup")
        yield clock
    finally:
        server.remove()


@pytest.fixture
def clock(running: Clock) -> Clock:
    """Of a mail server that holds one mailbox."""
    running.set(0)
    running.server.rebuild(customer("acme"), domain("acme.test"), mailbox(ANNA))
    return running


@pytest.fixture
def server(clock: Clock) -> Server:
    return clock.server


OFF = pytest.mark.parametrize("off", [HOUR, -HOUR], ids=["ahead", "behind"])


@OFF
def test_changes_and_digest(server: Server, clock: Clock, off: int, private_key: str) -> None:
    """Pages are applied, and rows and digest are the same at any time."""
    rows = [customer("acme"), domain("acme.test"), mailbox(ANNA), dkim_key("acme.test", private_key)]
    rows += [mailbox("bob@acme.test"), state("bob@acme.test", "mailbox", "send", until=2_000_000_000)]
    clock.set(off)
    server.push(*rows)
    assert abs(server.status().time - time.time() - off) < 60, "the clock was not set"
    digest = digest_of(server)
    clock.set(0)
    assert digest_of(server) == digest
    assert different(holding(server.directory), hashes({(row.kind, row.key): row for row in rows})) == {}
    server.push(gone("state", "state of bob@acme.test"))


@OFF
def test_states_with_an_end(server: Server, clock: Clock, off: int) -> None:
    """What ended long ago or ends later is judged rightly all the same; what ends within the hour ends an hour too
    early or too late, and rightly as soon as the clock is set."""
    now = int(time.time())
    ends = {
        "past": now - 2 * HOUR,
        "future": now + 2 * HOUR,
        "soon": now + HOUR // 2,
        "just": now - HOUR // 2,
    }
    server.push(
        *(mailbox(f"{name}@acme.test") for name in ends),
        *(state(f"{name}@acme.test", "mailbox", "receive", until=end) for name, end in ends.items()),
        state(ANNA, "mailbox", "receive"),
    )
    assert stopped(server, *ends, "anna") == {"future", "soon", "anna"}
    clock.set(off)
    wrong = {"future", "anna"} if off > 0 else {"future", "soon", "just", "anna"}
    assert stopped(server, *ends, "anna") == wrong
    clock.set(0)
    assert stopped(server, *ends, "anna") == {"future", "soon", "anna"}


@OFF
def test_key_stamps_only_grow(server: Server, clock: Clock, off: int, private_keys: list[str]) -> None:
    """Rspamd reads a key again only if its file's time is later: also when the clock goes back."""
    stamps = []
    path = server.settings.dkim / "acme.test/k1.key"
    for seconds, key in zip((off, 0, -off), private_keys, strict=True):
        clock.set(seconds)
        server.push(dkim_key("acme.test", key))
        assert path.read_text() == key
        stamps.append(int(path.stat().st_mtime))
    clock.set(off)
    server.push(gone("dkim", "k1.acme.test"))
    clock.set(-off)
    server.push(dkim_key("acme.test", private_keys[0]))
    stamps.append(int(path.stat().st_mtime))
    assert stamps == sorted(set(stamps))


@OFF
def test_usage_goes_on(server: Server, clock: Clock, off: int) -> None:
    """The cursor counts changes, not seconds: nothing is told twice or left out when the clock is set."""
    cursor = ""
    for number, seconds in enumerate((0, off, -off, 0), start=1):
        clock.set(seconds)
        usage = sqlite3.connect(server.settings.usage)
        with usage:  # as Dovecot's dict process does it
            values = (ANNA, number, int(time.time()) + seconds)
            usage.execute(
                "INSERT OR REPLACE INTO usage (address, bytes, last_sign_in) VALUES (?, ?, ?)", values
            )
        usage.close()
        page = server.usage(cursor)
        assert [(entry.mailbox, entry.bytes) for entry in page.entries] == [(identity(ANNA), number)]
        cursor = page.next
    assert server.usage(cursor).entries == []


@OFF
def test_homes_are_kept(server: Server, clock: Clock, off: int) -> None:
    """A mailbox that goes at a wrong time keeps its days, give or take the hour."""
    clock.set(off)
    server.push(gone("mailbox", ANNA))
    home = server.settings.mail / identity(ANNA)[:2] / identity(ANNA)
    home.mkdir(parents=True)
    clock.set(29 * 24 * HOUR)
    command = wire.Command(wire=wire.WIRE, id=uuid.uuid4().hex, home=identity(ANNA))
    code, body = server.call("POST", "/v1/commands/purge", wire.encode(command))
    assert (code, home.exists()) == (422, True), body
    clock.set(31 * 24 * HOUR)
    command = wire.Command(wire=wire.WIRE, id=uuid.uuid4().hex, home=identity(ANNA))
    code, body = server.call("POST", "/v1/commands/purge", wire.encode(command))
    assert (code, home.exists()) == (200, False), body


def digest_of(server: Server) -> str:
    code, body = server.call("GET", f"/v1/digest?domain={identity('acme.test')}&after=&limit=100")
    assert code == 200, body
    return wire.decode(body, wire.Digest).sha256


def stopped(server: Server, *names: str) -> set[str]:
    """Whose receiving is stopped now."""
    answers = {name: ask(server, recipient=f"{name}@acme.test", sender="x@elsewhere.test") for name in names}
    return {name for name, answer in answers.items() if answer.startswith("450 4.2.1")}
