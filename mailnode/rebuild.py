"""Filling a node anew: pages are staged beside the rows in force, and replace them all at once.

Order of writing, so that a crash at any point leaves the old rows in force or the new ones: 1. each page: hashes are
added to secrets.db, where no row in force names them yet; DKIM keys as files and rows in node.db are staged, and with
the rows the number of the next page; 2. with the last page: what is staged is flushed to the disk and looked through;
3. one transaction of node.db: the effects that follow from the difference between old and new, the rows, the new
revision and mark; 4. the effects (`mailnode.effects`), among them that hashes go which no row names any more. What is
staged need not survive a power cut, so its pages are not flushed one by one: where some of it is missing, the panel is
told to begin again."""

import json
import sqlite3
import time
from pathlib import Path

from mailnode import schema, wire
from mailnode.dkim import fingerprint
from mailnode.files import flush_file_system
from mailnode.schema import STAGED, WISHES
from mailnode.store import TABLES, Checked, Store, check_rows, check_wire, values

STAGING_CACHE_KB = 48_000  # rows come in the order of their ids, so the index of addresses is hit all over

# What follows from the difference, in the order in which it has to follow; :now in seconds since the epoch.
DIFFERENCE = (
    # All keys are looked through; one of these may wait for a key that only the rebuild has brought.
    "DELETE FROM effects WHERE kind = 'dkim'",
    """INSERT INTO effects (revision, kind, subject, detail)
    SELECT :revision, 'kick', n.local_part || '@' || d.name, '' FROM staged_mailboxes n
    JOIN mailboxes o ON o.id = n.id JOIN staged_domains d ON d.id = n.domain WHERE o.secret <> n.secret""",
    """INSERT OR IGNORE INTO gone_homes (id, gone_at, domain, watched)
    SELECT id, :now, domain, watched FROM mailboxes, meta WHERE id NOT IN (SELECT id FROM staged_mailboxes)""",
    """INSERT INTO effects (revision, kind, subject, detail)
    SELECT :revision, 'gone', o.id, o.local_part || '@' || coalesce(d.name, '') FROM mailboxes o
    LEFT JOIN domain_names d ON d.id = o.domain WHERE o.id NOT IN (SELECT id FROM staged_mailboxes)""",
    # A mailbox that comes matters where it was here before, or where its address was somebody else's.
    """INSERT INTO effects (revision, kind, subject, detail)
    SELECT :revision, 'arrived', n.id, n.local_part || '@' || d.name FROM staged_mailboxes n
    JOIN staged_domains d ON d.id = n.domain WHERE n.id NOT IN (SELECT id FROM mailboxes) AND (
        n.id IN (SELECT id FROM gone_homes)
        OR n.local_part || '@' || d.name IN (SELECT address FROM counted.usage))""",
    """UPDATE domain_names SET gone_at = :now WHERE gone_at IS NULL AND id NOT IN (SELECT id FROM staged_domains)""",
    """INSERT INTO domain_names (id, name) SELECT id, name FROM staged_domains WHERE true
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, gone_at = NULL""",
    # Every key is looked through, not only those whose rows differ: a rebuild mends files, too.
    """INSERT INTO effects (revision, kind, subject, detail)
    SELECT :revision, 'page of keys', value, '' FROM json_each(:pages_of_keys)""",
    """INSERT INTO effects (revision, kind, subject, detail) VALUES (:revision, 'keys', '', ''),
    (:revision, 'secrets', '', ''), (:revision, 'sessions', '', '')""",
    """INSERT INTO effects (revision, kind, subject, detail)
    SELECT :revision, 'resume', o.subject, o.subject_kind FROM states o WHERE o.receive = 1
    AND o.id NOT IN (SELECT id FROM staged_states WHERE receive = 1)""",
)

WITHOUT_HASH = f"""SELECT 1 FROM {STAGED}mailboxes m WHERE NOT EXISTS
    (SELECT 1 FROM secrets.secrets s WHERE s.mailbox = m.id AND s.secret = m.secret) LIMIT 1"""  # noqa: S608 a constant


class Elsewhere(Exception):
    """The page is not the one that the node waits for; `state` says which that is."""

    def __init__(self, state: wire.RebuildState) -> None:
        super().__init__(f"the node waits for page {state.seq}")
        self.state = state


class Rebuilding:
    """The rebuild of one node; under the same lock as `Store.apply`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.node = _staging(store.settings.database)

    def close(self) -> None:
        self.node.close()

    def state(self) -> wire.RebuildState:
        """What is under way, and the page that it waits for."""
        return state(self.node)

    def take(self, page: wire.Rebuild) -> None:
        """Stage a page, or, with the last one, put everything into force. A page that was taken before changes
        nothing. Raises Elsewhere, or WireError for a row that is wrong."""
        check_wire(page.wire)
        target = wire.Point(revision=page.revision, mark=page.mark)
        here = self.store.point()
        if page.last and here == target:
            return
        if target.revision < here.revision:
            raise wire.WireError("a rebuild may not lead back: its revision is lower than the node's")
        rows = check_rows(page.rows)
        if page.seq == 0 and self.state().rebuild != page.rebuild:
            self._begin(page.rebuild)
        waiting = self.state()
        if waiting.rebuild != page.rebuild or page.seq not in (waiting.seq, waiting.seq - 1):
            raise Elsewhere(waiting)
        if page.seq == waiting.seq:
            self._stage(rows, page.seq)
        if page.last:
            self._put_in_force(target)

    def _begin(self, rebuild: str) -> None:
        """Forget what was staged for another one."""
        for name in self._pages_of_keys():
            self.store.keys.unstage_page(name)
        with schema.transaction(self.node):
            for table in WISHES:
                self.node.execute(f"DELETE FROM {STAGED}{table}")  # noqa: S608 names from the schema
            point = self.store.point()
            values = (rebuild, point.revision, point.mark)
            self.node.execute("INSERT OR REPLACE INTO rebuild VALUES (1, ?, 0, ?, ?)", values)

    def _stage(self, rows: list[Checked], seq: int) -> None:
        staged: dict[str, list[tuple[object, ...]]] = {}
        private_keys = {}
        for row in rows:
            if row.data is None:
                raise wire.WireError("nothing is gone in a rebuild", row.kind, row.key)
            if isinstance(row.data, wire.Dkim):
                private_keys[row.key] = row.data.private_key
            staged.setdefault(TABLES[row.kind], []).append(values(row.key, row.data))
        if private_keys:
            self.store.keys.stage_page(f"{self.state().rebuild}.{seq}", private_keys)
        self.store.add_hashes(rows)
        try:
            with schema.transaction(self.node):
                for table, lines in staged.items():
                    places = ", ".join("?" * len(lines[0]))
                    query = f"INSERT INTO {STAGED}{table} VALUES ({places})"  # noqa: S608 names from the schema
                    self.node.executemany(query, lines)
                self.node.execute("UPDATE rebuild SET seq = ?", (seq + 1,))
        except sqlite3.IntegrityError:
            raise wire.WireError("two rows of the rebuild say the same thing") from None

    def _put_in_force(self, target: wire.Point) -> None:
        """Replace every row by what is staged. Raises Elsewhere when some of that is missing, or when the node has
        moved since the rebuild began."""
        flush_file_system(self.store.settings.dkim)
        if self._has_moved() or not self._is_whole():
            self._give_up()
            raise Elsewhere(self.state())
        node, pages_of_keys = self.store.node, self._pages_of_keys()
        with (
            schema.attached(node, self.store.settings.usage, "counted"),
            schema.transaction(node, begin="BEGIN"),  # Dovecot goes on counting
        ):
            _swap(node, target, pages_of_keys)
        node.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _has_moved(self) -> bool:
        base = self.node.execute("SELECT base_revision, base_mark FROM rebuild").fetchone()
        point = self.store.point()
        return bool(base != (point.revision, point.mark))

    def _is_whole(self) -> bool:
        """Whether the hash of each staged mailbox and the file of each staged key are there."""
        with schema.attached(self.node, self.store.settings.secrets, "secrets"):
            if self.node.execute(WITHOUT_HASH).fetchone():
                return False
        wanted = dict(self.node.execute("SELECT id, fingerprint FROM staged_dkim").fetchall())
        for name in self._pages_of_keys():
            for key, pem in self.store.keys.staged_page(name).items():
                if wanted.get(key) == fingerprint(pem):
                    del wanted[key]
        return not wanted

    def _pages_of_keys(self) -> list[str]:
        """The names of the pages of keys that were staged."""
        return self.store.keys.pages(f"{self.state().rebuild}.")

    def _give_up(self) -> None:
        for name in self._pages_of_keys():
            self.store.keys.unstage_page(name)
        with schema.transaction(self.node):
            self.node.execute("DELETE FROM rebuild")


def state(node: sqlite3.Connection) -> wire.RebuildState:
    """The rebuild that is under way, and the page that it waits for."""
    row = node.execute("SELECT id, seq FROM rebuild").fetchone()
    return wire.RebuildState(rebuild=row[0] if row else None, seq=row[1] if row else 0)


def _staging(path: Path) -> schema.Writing:
    """A connection whose transactions are whole after a crash of the agent, but may be missing after a power cut."""
    connection = schema.connect(path)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = -{STAGING_CACHE_KB}")
    connection.execute("PRAGMA wal_autocheckpoint = 8000")
    return connection


def _swap(node: sqlite3.Connection, target: wire.Point, pages_of_keys: list[str]) -> None:
    """Inside one transaction: what has to follow, and the new rows in the place of the old ones."""
    facts = {"revision": target.revision, "now": int(time.time()), "pages_of_keys": json.dumps(pages_of_keys)}
    for statement in DIFFERENCE:
        node.execute(statement, facts)
    for table in WISHES:
        node.execute(f"DELETE FROM {table}")  # noqa: S608 names from the schema, here and below
        node.execute(f"INSERT INTO {table} SELECT * FROM {STAGED}{table}")  # noqa: S608
        node.execute(f"DELETE FROM {STAGED}{table}")  # noqa: S608
    node.execute("DELETE FROM rebuild")
    # Also where the revision stays what it was, nothing of it is effective yet.
    query = "UPDATE meta SET revision = :revision, mark = :mark, effective = min(effective, :revision - 1)"
    node.execute(query, {"revision": target.revision, "mark": target.mark})
