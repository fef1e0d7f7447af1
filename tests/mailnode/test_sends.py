"""sends.db when it cannot be written, and when the service ends while it is."""

import asyncio
import sqlite3
import threading
import time

import pytest

from mailnode import sends
from mailnode.limits import Hold, Limit
from mailnode.lookup import Lookup
from tests.mailnode.server import Server

ANNA = ("mailbox", "anna@acme.test")


def count(lookup: Lookup, message: str, recipients: int = 1) -> None:
    hold = Hold("1.2", ("127.0.0.1", "4711"), [Limit(ANNA, 100, 100)])
    assert lookup.tally.count(hold, recipients, message) is None


def stored(server: Server) -> tuple[int, set[str]]:
    """(recipients of a day, messages that may still be taken back)."""
    tally, _ = sends.load(server.settings.sends)
    return tally.counts[ANNA].day.total if ANNA in tally.counts else 0, set(tally.messages)


def test_what_could_not_be_written_is_written_next(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup, write = Lookup(server.settings), sends.write

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async def turn() -> None:
        await lookup._write()

    count(lookup, "first", 3)
    asyncio.run(turn())
    assert stored(server) == (3, {"first"})
    assert lookup.tally.take_back("first")
    count(lookup, "second", 2)
    monkeypatch.setattr(sends, "write", fails)
    asyncio.run(turn())
    count(lookup, "third")
    monkeypatch.setattr(sends, "write", write)
    asyncio.run(turn())
    assert stored(server) == (3, {"second", "third"})


def test_counts_that_were_forgotten_meanwhile_are_gone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup, write, now = Lookup(server.settings), sends.write, time.time()
    count(lookup, "first", 3)
    asyncio.run(lookup._write())
    monkeypatch.setattr(time, "time", lambda: now + 2 * 86_400)
    lookup.tally.roll()
    assert ANNA not in lookup.tally.counts

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sends, "write", fails)
    asyncio.run(lookup._write())
    monkeypatch.setattr(sends, "write", write)
    asyncio.run(lookup._write())
    assert stored(server) == (0, set())


def test_the_last_write_waits_for_the_one_before(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup, write, at_it = Lookup(server.settings), sends.write, threading.Lock()
    begun = threading.Event()

    def slow(connection: sqlite3.Connection, taken: sends.Snapshot) -> None:
        assert at_it.acquire(blocking=False), "two at once"
        try:
            begun.set()
            time.sleep(0.3)
            write(connection, taken)  # type: ignore[arg-type]
        finally:
            at_it.release()

    async def ends_while_it_writes() -> None:
        keeping = asyncio.ensure_future(lookup._keep())
        await asyncio.to_thread(begun.wait, 10)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        count(lookup, "last", 2)
        await lookup._write_last()

    monkeypatch.setattr(sends, "write", slow)
    count(lookup, "first", 3)
    asyncio.run(ends_while_it_writes())
    assert stored(server) == (5, {"first", "last"})
