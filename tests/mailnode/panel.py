"""The panel's side of the protocol, for one mail server that dies, loses power or runs out of room."""

import contextlib
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mailnode import wire
from tests.mailnode.server import Server, customer, dkim_key, domain, gone, identity, mailbox, state
from tests.node_files import Hashes, holding

DOMAINS, MAILBOXES = 5, 40
ROWS_OF_A_PAGE = 50  # in a rebuild
FRESH = wire.Point(revision=0, mark="")
Key = tuple[str, str]


@dataclass(frozen=True)
class Sent:
    """What was sent: where it leads, and its rows; those of a rebuild are all that there shall be."""

    point: wire.Point
    rows: list[wire.Row]
    is_rebuild: bool = False


class Panel:
    """It knows every page that it ever sent, `acknowledged` of them being answered as effective, and goes on from
    where the node is."""

    def __init__(self, server: Server, chance: random.Random, private_keys: list[str]) -> None:
        self.server, self.chance, self.private_keys = server, chance, private_keys
        self.sent: list[Sent] = []
        self.acknowledged = 0
        self.refusals: list[str] = []  # what answers 503 said

    @property
    def point(self) -> wire.Point:
        """Where the acknowledged pages lead."""
        return self.sent[self.acknowledged - 1].point if self.acknowledged else FRESH

    def adopt(self) -> None:
        """Begin with what the node holds."""
        code, body = self.server.call("GET", "/v1/rows?after=&limit=1000")
        assert code == 200, body
        page = wire.decode(body, wire.RowPage)
        self.sent.append(Sent(wire.Point(revision=page.revision, mark=page.mark), page.rows))
        self.acknowledged = 1

    def leave(self) -> None:
        """Take away what came since `adopt`."""
        self._send(Sent(self._next_point(), list(self.wish(1).values()), is_rebuild=True))

    def rows(self) -> list[wire.Row]:
        """A few random changes, sometimes many."""
        made = [row for _ in range(self.chance.choice([1, 2, 3, 40])) for row in self._some()]
        return list({(row.kind, row.key): row for row in made}.values())

    def _some(self) -> list[wire.Row]:
        """Rows that change together: a domain comes and goes with its key."""
        chance = self.chance
        name = f"d{chance.randrange(DOMAINS)}.test"
        address = f"u{chance.randrange(MAILBOXES)}@{name}"
        secret = f"{{ARGON2ID}}$argon2id$v=19$m=8,t=1,p=1$c2FsdA${chance.randrange(10**9):09}"
        key = dkim_key(name, chance.choice(self.private_keys))
        stop = chance.choice(["sign_in", "send", "receive"])
        return chance.choice(
            [
                [customer("stream", chance.randrange(10**9)), domain(name, "stream"), key],
                [mailbox(address, chance.randrange(10**9), secret)],
                [mailbox(address, chance.randrange(10**9), secret)],
                [state(address, "mailbox", stop)],
                [gone("mailbox", address), gone("state", f"state of {address}")],
                [gone("dkim", f"k1.{name}")],
                [gone("domain", name), gone("dkim", f"k1.{name}")],
            ]
        )

    def send_next(self) -> None:
        """Send something random until it is acknowledged and effective."""
        self._send(self.next())

    def send(self, rows: list[wire.Row]) -> None:
        """Send a page until it is acknowledged and effective."""
        self._send(Sent(self._next_point(), rows))

    def _send(self, what: Sent, within: float = 30.0) -> None:
        self.sent.append(what)
        deadline = time.monotonic() + within
        while not self.deliver():
            assert time.monotonic() < deadline, "never acknowledged"
            time.sleep(0.05)

    def _next_point(self) -> wire.Point:
        """Its mark is a new one, though the number may have been given before."""
        revision = self.point.revision + 1
        return wire.Point(revision=revision, mark=f"{self.chance.randrange(16**12):012x}")

    def deliver(self) -> bool:
        """Send what came last once; whether it is acknowledged as effective."""
        try:
            code, body = self._send_rebuild() if self.sent[-1].is_rebuild else self._send_page()
        except OSError:
            return False
        if code == 503:
            self.refusals.append(wire.decode(body, wire.Refusal).error)
            return False
        assert code == 200, body
        if wire.decode(body, wire.Applied).effective != self.sent[-1].point.revision:
            return False
        self.acknowledged = len(self.sent)
        return True

    def _send_page(self) -> tuple[int, bytes]:
        page = self.sent[-1]
        where = {"revision": page.point.revision, "mark": page.point.mark}
        changes = wire.Changes(wire=wire.WIRES[0], base=self.point, rows=page.rows, **where)
        code, body = self.server.call("POST", "/v1/changes", wire.encode(changes))
        if code != 409:
            return code, body
        assert wire.decode(body, wire.Point) == page.point, body  # it was applied, and the answer was lost
        return self.server.call("GET", "/v1/status")

    def _send_rebuild(self) -> tuple[int, bytes]:
        """One page after the other, from where the node waits."""
        whole = self.sent[-1]
        where = {
            "revision": whole.point.revision,
            "mark": whole.point.mark,
            "rebuild": identity(whole.point.mark),
        }
        starts, seq = range(0, len(whole.rows) or 1, ROWS_OF_A_PAGE), 0
        while True:
            rows = whole.rows[starts[seq] :][:ROWS_OF_A_PAGE]
            is_last = seq == len(starts) - 1
            page = wire.Rebuild(wire=wire.WIRE, seq=seq, rows=rows, last=is_last, **where)
            code, body = self.server.call("POST", "/v1/rebuild", wire.encode(page))
            if code == 409:
                state = wire.decode(body, wire.RebuildState)
                seq = min(state.seq, len(starts) - 1) if state.rebuild == where["rebuild"] else 0
            elif code != 200 or is_last:
                return code, body
            else:
                seq += 1

    @contextlib.contextmanager
    def streaming(self, following: Callable[[], Sent] | None = None) -> Iterator[None]:
        """Send one thing after the other (`next`, or what `following` says) beside the block; what goes wrong there
        is raised at its end."""
        over = threading.Event()

        def stream() -> None:
            while not over.is_set():
                self.sent.append((following or self.next)())
                while not over.is_set() and not self.deliver():
                    time.sleep(0.02)

        with ThreadPoolExecutor(1) as pool:
            streaming = pool.submit(stream)
            try:
                yield
            finally:
                over.set()
                streaming.result()

    def next(self) -> Sent:
        """Mostly a page of changes; sometimes all rows anew."""
        return self.next_rebuild() if self.chance.random() < 0.1 else Sent(self._next_point(), self.rows())

    def next_rebuild(self) -> Sent:
        """All rows anew, and a few of them changed."""
        wish = self.wish(len(self.sent)) | {(row.kind, row.key): row for row in self.rows()}
        return Sent(
            self._next_point(), [row for row in wish.values() if row.data is not None], is_rebuild=True
        )

    def go_on(self) -> None:
        """Ask the node where it is, and send in one page what it lacks."""
        status = self.server.status()
        there = self.place(wire.Point(revision=status.revision, mark=status.mark))
        held, wish = self.wish(there), self.wish(len(self.sent))
        lacking = [row for key, row in wish.items() if held.get(key) != row]
        del self.sent[there:]
        self.acknowledged = len(self.sent)
        self.send(lacking + [wire.row(kind, key, None) for kind, key in held.keys() - wish.keys()])

    def place(self, point: wire.Point) -> int:
        """How many of the pages that were sent stand at this point; ValueError where none leads there."""
        return [FRESH, *(page.point for page in self.sent)].index(point)

    def wish(self, pages: int) -> dict[Key, wire.Row]:
        """What a node holds after so many of what was sent."""
        rows: dict[Key, wire.Row] = {}
        for page in self.sent[:pages]:
            if page.is_rebuild:
                rows.clear()
            rows |= {(row.kind, row.key): row for row in page.rows}
        return {key: row for key, row in rows.items() if row.data is not None}

    def assert_kept(self, acknowledged: int, directory: Path) -> int:
        """The files in `directory`, which nobody writes now, hold so many pages or some more, each whole; returns how
        many more."""
        node = sqlite3.connect(f"file:{directory}/db/node.db?mode=rw", uri=True)
        revision, mark = node.execute("SELECT revision, mark FROM meta").fetchone()
        node.close()
        pages = self.place(wire.Point(revision=revision, mark=mark))
        assert pages >= acknowledged, "an acknowledged page is lost"
        wrong = different(holding(directory), hashes(self.wish(pages)))
        under_way = self._under_way(acknowledged)
        wrong = {key: both for key, both in wrong.items() if key not in under_way or None in both}
        assert not wrong, f"{len(wrong)} rows differ: {dict(list(wrong.items())[:3])}"
        return pages - acknowledged

    def _under_way(self, acknowledged: int) -> set[Key]:
        """Mailboxes and keys of pages that nobody was told of yet: their hashes are written before a page, their
        key files after it."""
        changed = {(row.kind, row.key) for page in self.sent[acknowledged:] for row in page.rows}
        keys = self.wish(acknowledged) | self.wish(len(self.sent))
        return changed | {
            (kind, key)
            for (kind, key), row in keys.items()
            if kind == "dkim" and row.data and ("domain", row.data["domain"]) in changed
        }

    def assert_in_step(self) -> None:
        """The node is where the panel is, and its files hold exactly that."""
        status = self.server.status()
        assert (status.revision, status.mark) == (self.point.revision, self.point.mark)
        assert status.effective == status.revision, status.lag_error
        wrong = different(holding(self.server.directory), hashes(self.wish(len(self.sent))))
        assert not wrong, f"{len(wrong)} rows differ: {dict(list(wrong.items())[:3])}"


def hashes(rows: dict[Key, wire.Row]) -> Hashes:
    return {key: wire.row_hash(*key, wire.data_of(row)) for key, row in rows.items()}


def different(held: Hashes, wished: Hashes) -> dict[Key, tuple[str | None, str | None]]:
    """Where the two differ, and how."""
    keys = held.keys() | wished.keys()
    return {key: (held.get(key), wished.get(key)) for key in keys if held.get(key) != wished.get(key)}
