"""The node's copy of what the panel wants: pages of changes are applied here, each in one transaction.

Order of writing, so that a crash at any point is healed by the same page coming again: 1. DKIM keys are
staged as files, password hashes are added to secrets.db; nothing refers to them yet; 2. one transaction
of node.db: the rows, the effects that must follow from them, and the new revision and mark; 3. the effects
(`mailnode.effects`), after which `effective` moves."""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mailnode import schema, wire
from mailnode.dkim import KeyFiles, fingerprint
from mailnode.schema import STAGED
from mailnode.settings import Settings

# Where the rows of each kind stand.
TABLES = {
    "customer": "customers",
    "domain": "domains",
    "mailbox": "mailboxes",
    "dkim": "dkim",
    "state": "states",
}

# Password hashes that no row names; `node` is node.db.
STRANGE_HASHES = f"""DELETE FROM secrets WHERE
NOT EXISTS (SELECT 1 FROM node.mailboxes m WHERE m.id = mailbox AND m.secret = secrets.secret) AND NOT
EXISTS (SELECT 1 FROM node.{STAGED}mailboxes m WHERE m.id = mailbox AND m.secret = secrets.secret)"""  # noqa: S608 a constant


class BaseMismatch(Exception):
    """The page does not start where the node is; `point` says where that is."""

    def __init__(self, point: wire.Point) -> None:
        super().__init__(f"the node is at revision {point.revision}")
        self.point = point


@dataclass(frozen=True)
class Checked:
    """One row of a page after its checks."""

    kind: str
    key: str
    data: wire.Data | None


class Store:
    """node.db and secrets.db of one mail server, for one writing process (the agent). Not for several threads
    at once: the agent calls it under one lock."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.node = schema.connect(settings.database)
        self.secrets = schema.connect(settings.secrets)
        self.usage = schema.connect(settings.usage)
        self.keys = KeyFiles(settings.dkim)

    def close(self) -> None:
        for connection in (self.node, self.secrets, self.usage):
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction of node.db, written when the block ends and undone when it raises."""
        with schema.transaction(self.node):
            yield self.node

    def point(self) -> wire.Point:
        """Where the node is in its history."""
        return schema.point(self.node)

    def effective(self) -> int:
        """The revision up to which everything has come about."""
        return schema.effective(self.node)

    def apply(self, changes: wire.Changes) -> None:
        """Apply one page whole, or not at all: raises BaseMismatch, or WireError for a row that is wrong."""
        rows = check(changes)
        if self.point() != changes.base:
            raise BaseMismatch(self.point())
        self._stage(rows)
        try:
            with self.transaction() as node:
                if self.point() != changes.base:
                    raise BaseMismatch(self.point())
                page = Page(node, changes.revision)
                for row in rows:
                    page.write(row)
                node.execute("UPDATE meta SET revision = ?, mark = ?", (changes.revision, changes.mark))
        except wire.WireError:
            self.forget_strange_hashes(row.key for row in rows if row.kind == "mailbox")
            raise

    def _stage(self, rows: list[Checked]) -> None:
        """Put what is secret where it belongs, before anything refers to it."""
        for row in rows:
            if isinstance(row.data, wire.Dkim):
                self.keys.stage(row.key, row.data.private_key)
        self.add_hashes(rows)

    def add_hashes(self, rows: list[Checked]) -> None:
        """Add the password hashes of these rows to those that are there. Each is in force once the row of its mailbox
        names it."""
        hashes = [
            (row.key, schema.secret_of(row.data.password_hash), row.data.password_hash)
            for row in rows
            if isinstance(row.data, wire.Mailbox)
        ]
        if hashes:
            query = """INSERT INTO secrets VALUES (?, ?, ?) ON CONFLICT (mailbox, secret)
                DO UPDATE SET hash = excluded.hash WHERE hash <> excluded.hash"""
            with schema.transaction(self.secrets):
                self.secrets.executemany(query, hashes)

    def forget_strange_hashes(self, of: Iterable[str] | None = None) -> None:
        """Those that no row names, in force or staged; of these mailboxes, or of all."""
        with (
            schema.attached(self.secrets, self.settings.database, "node"),
            schema.transaction(self.secrets),
        ):
            if of is None:
                self.secrets.execute(STRANGE_HASHES)
            else:
                query = f"{STRANGE_HASHES} AND mailbox = ?"
                self.secrets.executemany(query, [(mailbox,) for mailbox in of])


def row_counts(node: sqlite3.Connection) -> dict[str, int]:
    """Live rows by kind."""
    return {
        kind: node.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 names from above
        for kind, table in TABLES.items()
    }


def check(changes: wire.Changes) -> list[Checked]:
    """The rows of a page, each checked, in the order of writing: first what goes away, children before
    parents, then what is there, parents before children. Raises WireError."""
    check_wire(changes.wire)
    if changes.revision <= changes.base.revision:
        raise wire.WireError("a page leads on: its revision is higher than the base's")
    rows = check_rows(changes.rows)
    order = list(wire.KINDS)
    gone = sorted((row for row in rows if row.data is None), key=lambda row: -order.index(row.kind))
    return gone + sorted((row for row in rows if row.data is not None), key=lambda row: order.index(row.kind))


def check_wire(version: int) -> None:
    """Raises WireError for a version that is not spoken here."""
    if not wire.WIRES[0] <= version <= wire.WIRES[1]:
        raise wire.WireError(f"wire version {version} is not spoken here, only {wire.WIRES}")


def check_rows(rows: list[wire.Row]) -> list[Checked]:
    """Each row checked; raises WireError, also where one stands twice."""
    checked = [Checked(row.kind, row.key, wire.data_of(row)) for row in rows]
    if len({(row.kind, row.key) for row in checked}) != len(checked):
        raise wire.WireError("a row stands twice in one page")
    return checked


def values(key: str, data: wire.Data) -> tuple[object, ...]:
    """A row as its table takes it."""
    match data:
        case wire.Customer():
            in_sum = data.sends_per_day_in_sum
            return (key, data.username, data.storage_bytes, data.contact, data.sends_per_day, in_sum)
        case wire.Domain():
            return (key, data.customer, data.name, data.accepts)
        case wire.Mailbox():
            secret = schema.secret_of(data.password_hash)
            sends = (data.sends_per_day, data.raised_to, data.raised_until)
            return (key, data.domain, data.local_part, data.quota_bytes, secret, *sends)
        case wire.Dkim():
            return (key, data.domain, data.selector, data.signs, fingerprint(data.private_key))
        case wire.State():
            stops = ("sign_in" in data.stops, "send" in data.stops, "receive" in data.stops)
            return (key, data.subject_kind, data.subject, *stops, data.reason, data.until)


class Page:
    """Writes the rows of one page inside its transaction, and the effects that have to follow."""

    def __init__(self, node: sqlite3.Connection, revision: int) -> None:
        self.node = node
        self.revision = revision

    def write(self, row: Checked) -> None:
        """Make one row so. A row of another key that holds the same name gives way: it comes from an earlier
        revision, and what the panel says of it now stands in this page or a later one."""
        match row.data:
            case None:
                getattr(self, f"_remove_{row.kind}")(row.key)
            case wire.Customer() as data:
                query = "INSERT OR REPLACE INTO customers VALUES (?, ?, ?, ?, ?, ?)"
                self.node.execute(query, values(row.key, data))
            case wire.Domain() as data:
                self._write_domain(row.key, data)
            case wire.Mailbox() as data:
                self._write_mailbox(row.key, data)
            case wire.Dkim() as data:
                self._write_dkim(row.key, data)
            case wire.State() as data:
                self._write_state(row.key, data)

    def effect(self, kind: str, subject: str, detail: str = "") -> None:
        """Something that must follow from this page before its revision is effective."""
        query = "INSERT INTO effects (revision, kind, subject, detail) VALUES (?, ?, ?, ?)"
        self.node.execute(query, (self.revision, kind, subject, detail))

    def _one(self, query: str, *parameters: object) -> tuple[str, ...] | None:
        found: tuple[str, ...] | None = self.node.execute(query, parameters).fetchone()
        return found

    def _write_domain(self, key: str, data: wire.Domain) -> None:
        before = self._one("SELECT name FROM domains WHERE id = ?", key)
        if before and before[0] != data.name:
            raise wire.WireError(
                "the name of a domain never changes: a new name is a new domain", "domain", key
            )
        other = self._one("SELECT id FROM domains WHERE name = ? AND id <> ?", data.name, key)
        if other:
            self._remove_domain(other[0])
        self.node.execute("INSERT OR REPLACE INTO domains VALUES (?, ?, ?, ?)", values(key, data))
        query = """INSERT INTO domain_names (id, name) VALUES (?, ?)
            ON CONFLICT (id) DO UPDATE SET gone_at = NULL"""
        self.node.execute(query, (key, data.name))
        if not before:  # rows of it may have come in an earlier page
            self.effect("dkim", data.name)

    def _write_mailbox(self, key: str, data: wire.Mailbox) -> None:
        before = self._one("SELECT domain, local_part, secret FROM mailboxes WHERE id = ?", key)
        if before and before[:2] != (data.domain, data.local_part):
            raise wire.WireError("a mailbox never changes its address: that is a new one", "mailbox", key)
        query = "SELECT id FROM mailboxes WHERE domain = ? AND local_part = ? AND id <> ?"
        other = self._one(query, data.domain, data.local_part, key)
        if other:
            self._remove_mailbox(other[0])
        row = values(key, data)
        self.node.execute("INSERT OR REPLACE INTO mailboxes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        if not before:
            self.effect("arrived", key, f"{data.local_part}@{self._domain_name(data.domain)}")
        elif before[2] != row[4]:
            self.effect("kick", f"{data.local_part}@{self._domain_name(data.domain)}", key)

    def _write_dkim(self, key: str, data: wire.Dkim) -> None:
        query = "SELECT id FROM dkim WHERE domain = ? AND selector = ? AND id <> ?"
        other = self._one(query, data.domain, data.selector, key)
        if other:
            self._remove_dkim(other[0])
        self.node.execute("INSERT OR REPLACE INTO dkim VALUES (?, ?, ?, ?, ?)", values(key, data))
        self.effect("dkim", self._domain_name(data.domain))

    def _write_state(self, key: str, data: wire.State) -> None:
        self._remove_state(key)  # a stop that is not in it any more is lifted
        self.node.execute("INSERT INTO states VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values(key, data))
        if "sign_in" in data.stops:
            self.effect("sessions", data.subject)

    def _remove_customer(self, key: str) -> None:
        self.node.execute("DELETE FROM customers WHERE id = ?", (key,))

    def _remove_domain(self, key: str) -> None:
        gone = self._one("DELETE FROM domains WHERE id = ? RETURNING name", key)
        if gone:
            query = "UPDATE domain_names SET gone_at = ? WHERE id = ?"
            self.node.execute(query, (int(time.time()), key))
            self.effect("dkim", gone[0])
            self.effect("sessions", key)

    def _remove_mailbox(self, key: str) -> None:
        gone = self._one("DELETE FROM mailboxes WHERE id = ? RETURNING domain, local_part", key)
        if gone:
            query = """INSERT OR IGNORE INTO gone_homes (id, gone_at, domain, watched)
                SELECT ?, ?, ?, watched FROM meta"""
            self.node.execute(query, (key, int(time.time()), gone[0]))
            self.effect("gone", key, f"{gone[1]}@{self._domain_name(gone[0])}")

    def _remove_dkim(self, key: str) -> None:
        gone = self._one("DELETE FROM dkim WHERE id = ? RETURNING domain", key)
        if gone:
            self.effect("dkim", self._domain_name(gone[0]))

    def _remove_state(self, key: str) -> None:
        gone = self._one(
            "DELETE FROM states WHERE id = ? AND receive = 1 RETURNING subject_kind, subject", key
        )
        if gone:
            self.effect("resume", gone[1], gone[0])
        self.node.execute("DELETE FROM states WHERE id = ?", (key,))

    def _domain_name(self, domain: str) -> str:
        """The name of a domain, also of one that is gone; "" while its row has not come (what needs the name
        then follows with that row)."""
        found = self._one("SELECT name FROM domain_names WHERE id = ?", domain)
        return found[0] if found else ""
