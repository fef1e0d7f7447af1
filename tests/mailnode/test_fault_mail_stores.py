"""Whatever the panel sends, and whatever it forgets: no reconciler touches mail. Only a purge does, when the days of a
home are over (test_keeper.py)."""

import hashlib
import os
import random
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailnode import wire
from tests.faults import SOAK, Dice, kills, report
from tests.mailnode.panel import DOMAINS, MAILBOXES, Panel
from tests.mailnode.server import Server, customer, dkim_key, domain, gone, identity, mailbox, state

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 120)]

ANNA, BOB, CARL = "anna@acme.test", "bob@acme.test", "carl@acme.test"
Seen = dict[str, tuple[object, ...]]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """An agent and a keeper, and mail of mailboxes that come and go, and of one that nobody knows."""
    server = Server()
    try:
        some = [f"u{number}@d{number % DOMAINS}.test" for number in range(MAILBOXES)]
        for address in [ANNA, BOB, CARL, "nobody@knows.test", *some]:
            deliver(server, address)
        server.start("keeper", "agent")
        yield server
    finally:
        server.remove()


@pytest.fixture
def server(running: Server) -> Server:
    running.rebuild()
    return running


@pytest.fixture
def untouched(server: Server) -> Callable[[], bool]:
    """Whether every file of mail is byte for byte what it was, with its owner, mode and times."""
    before = seen(server.settings.mail)
    return lambda: seen(server.settings.mail) == before


def test_pages_of_every_kind(server: Server, untouched: Callable[[], bool], private_keys: list[str]) -> None:
    for rows in (
        [
            customer("acme"),
            domain("acme.test"),
            mailbox(ANNA),
            mailbox(BOB),
            dkim_key("acme.test", private_keys[0]),
        ],
        [state(ANNA, "mailbox", "sign_in", "send", "receive"), state("acme.test", "domain", "receive")],
        [state("acme", "customer", "sign_in"), dkim_key("acme.test", private_keys[1]), mailbox(BOB, 1)],
        [gone("state", f"state of {name}") for name in (ANNA, "acme.test", "acme")],
        [mailbox(ANNA, key="another anna")],  # under the address of the first one
        [gone("mailbox", "another anna"), mailbox(ANNA)],
        [gone("mailbox", BOB), gone("dkim", "k1.acme.test")],
        [gone("domain", "acme.test")],
        [domain("acme.test", accepts=False), mailbox(BOB)],
        [gone("mailbox", ANNA), gone("mailbox", BOB), gone("domain", "acme.test"), gone("customer", "acme")],
    ):
        server.push(*rows)
        assert untouched(), rows


def test_rebuilds(server: Server, untouched: Callable[[], bool]) -> None:
    server.push(customer("acme"), domain("acme.test"), mailbox(ANNA), mailbox(BOB))
    server.rebuild(customer("acme"), domain("acme.test"), mailbox(BOB), mailbox(CARL))
    assert untouched()
    server.rebuild()
    assert untouched(), "a panel that forgot everything took the mail along"
    server.stop("agent", with_signal=signal.SIGKILL)
    server.start("agent")
    server.command("init")
    assert untouched()


def test_purges_that_are_refused(server: Server, untouched: Callable[[], bool]) -> None:
    """Of a mailbox that is there, of one that has just gone, and of one that nobody knows."""
    server.push(customer("acme"), domain("acme.test"), mailbox(ANNA), mailbox(BOB))
    server.push(gone("mailbox", BOB))
    for address in (ANNA, BOB, "nobody@knows.test"):
        command = wire.Command(wire=wire.WIRE, id=uuid.uuid4().hex, home=identity(address))
        assert server.call("POST", "/v1/commands/purge", wire.encode(command))[0] == 422, address
        assert untouched()


def test_random_changes(
    server: Server, untouched: Callable[[], bool], rng: Dice, private_keys: list[str]
) -> None:
    panel = Panel(server, random.Random(rng.randrange(2**32)), private_keys)
    panel.adopt()
    for _ in range(kills(30, 1_000)):
        panel.send_next()
    assert untouched()
    panel.assert_in_step()
    report("mail stores", rng, pages=len(panel.sent), files=len(seen(server.settings.mail)))


def deliver(server: Server, address: str) -> None:
    """A home with a message in it, as Dovecot leaves it."""
    home = server.settings.mail / identity(address)[:2] / identity(address)
    for name in ("new", "cur", "tmp", ".Junk/new"):
        (home / "Maildir" / name).mkdir(parents=True)
    (home / "Maildir/new/1700000000.M1P1.mx1").write_text(f"To: {address}\n\n{os.urandom(8).hex()}\n")
    (home / "sieve").mkdir()


def seen(directory: Path) -> Seen:
    """All that lies below a directory."""
    found: Seen = {}
    for path in directory.rglob("*"):
        facts = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        kept = (facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
        found[str(path)] = (*kept, content)
    return found
