"""The SQLite files of a mail server: their tables, how they are made and how they are opened.

node.db     what the panel wants, read live by Postfix (proxymap), Dovecot and the look-up service
secrets.db  password hashes, for the agent and Dovecot alone; in force is the one that the row in node.db names
usage.db    written by Dovecot's dict process, read by the agent and the look-up service
sends.db    written by the look-up service, read by the agent (mailnode.sends)

All are in WAL mode (a lock of the writer must never fail a look-up), and are never replaced by another file:
Postfix and Dovecot would keep the old one open. Their directories are writable for their readers, which WAL
demands."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailnode import wire

# True for a state that still holds; `unixepoch` takes no format, so no % gets into Postfix's or Dovecot's
# queries.
HOLDS = "(s.until IS NULL OR s.until > unixepoch())"

# What the panel wants: live in the tables of these names, and, while a rebuild gathers what shall replace them, in
# tables with STAGED before the name.
WISHES = {
    "customers": """(id TEXT PRIMARY KEY, username TEXT NOT NULL, storage_bytes INTEGER,
        contact TEXT NOT NULL DEFAULT '', sends_per_day INTEGER,
        sends_per_day_in_sum INTEGER)""",
    "domains": """(id TEXT PRIMARY KEY, customer TEXT NOT NULL, name TEXT NOT NULL UNIQUE,
        accepts INTEGER NOT NULL)""",
    "mailboxes": """(id TEXT PRIMARY KEY, domain TEXT NOT NULL, local_part TEXT NOT NULL,
        quota_bytes INTEGER NOT NULL, secret TEXT NOT NULL, sends_per_day INTEGER,
        raised_to INTEGER NOT NULL DEFAULT 0, raised_until INTEGER NOT NULL DEFAULT 0, UNIQUE (domain, local_part))""",
    "dkim": """(id TEXT PRIMARY KEY, domain TEXT NOT NULL, selector TEXT NOT NULL, signs INTEGER NOT NULL,
        fingerprint TEXT NOT NULL, UNIQUE (domain, selector))""",
    "states": """(id TEXT PRIMARY KEY, subject_kind TEXT NOT NULL, subject TEXT NOT NULL,
        sign_in INTEGER NOT NULL, send INTEGER NOT NULL, receive INTEGER NOT NULL, reason TEXT NOT NULL,
        until INTEGER)""",
}
STAGED = "staged_"

NODE = f"""
CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), schema INTEGER NOT NULL,
    revision INTEGER NOT NULL, mark TEXT NOT NULL, effective INTEGER NOT NULL,
    watched INTEGER NOT NULL DEFAULT 0); -- seconds that the agent has run in sum, whatever the clock says
INSERT INTO meta (one, schema, revision, mark, effective) VALUES (1, 1, 0, '', 0);
{"".join(f"CREATE TABLE {name} {columns} WITHOUT ROWID;" for name, columns in WISHES.items())}
CREATE INDEX domains_customer ON domains (customer);
CREATE INDEX states_subject ON states (subject);
-- The name of every domain that ever was here, for what is still to be cleared up once its row is gone, and
-- when it went (NULL while it is here).
CREATE TABLE domain_names (id TEXT PRIMARY KEY, name TEXT NOT NULL, gone_at INTEGER) WITHOUT ROWID;
-- What still has to follow from committed pages; written in the page's own transaction.
CREATE TABLE effects (id INTEGER PRIMARY KEY AUTOINCREMENT, revision INTEGER NOT NULL, kind TEXT NOT NULL,
    subject TEXT NOT NULL, detail TEXT NOT NULL);
-- Mailboxes that are gone and whose mail still lies here, with what they held, when they went by the clock, and how
-- long the agent had run by then.
CREATE TABLE gone_homes (id TEXT PRIMARY KEY, gone_at INTEGER NOT NULL, bytes INTEGER NOT NULL DEFAULT 0,
    messages INTEGER NOT NULL DEFAULT 0, last_sign_in INTEGER, domain TEXT NOT NULL DEFAULT '',
    watched INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
-- Time stamps given to key files, also of files that are gone: Rspamd notices a new file by a later one.
CREATE TABLE dkim_files (name TEXT PRIMARY KEY, mtime INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE commands (id TEXT PRIMARY KEY, name TEXT NOT NULL, done_at INTEGER NOT NULL) WITHOUT ROWID;
"""  # noqa: S608 constants

# The rebuild that is under way, if one is: the page it waits for, and where the node was when it began.
STAGING = f"""
CREATE TABLE IF NOT EXISTS rebuild (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL,
    seq INTEGER NOT NULL, base_revision INTEGER NOT NULL, base_mark TEXT NOT NULL);
{"".join(f"CREATE TABLE IF NOT EXISTS {STAGED}{name} {cols} WITHOUT ROWID;" for name, cols in WISHES.items())}
"""

# Columns of node.db that earlier versions did not have: table, name, definition.
ADDED = (
    ("domain_names", "gone_at", "INTEGER"),
    ("gone_homes", "domain", "TEXT NOT NULL DEFAULT ''"),
    ("gone_homes", "watched", "INTEGER NOT NULL DEFAULT 0"),
    ("meta", "watched", "INTEGER NOT NULL DEFAULT 0"),
    ("customers", "contact", "TEXT NOT NULL DEFAULT ''"),
    (f"{STAGED}customers", "contact", "TEXT NOT NULL DEFAULT ''"),
    *(
        (f"{staged}{table}", column, definition)
        for staged in ("", STAGED)
        for table, column, definition in (
            ("customers", "sends_per_day", "INTEGER"),
            ("customers", "sends_per_day_in_sum", "INTEGER"),
            ("mailboxes", "sends_per_day", "INTEGER"),
            ("mailboxes", "raised_to", "INTEGER NOT NULL DEFAULT 0"),
            ("mailboxes", "raised_until", "INTEGER NOT NULL DEFAULT 0"),
        )
    ),
)

# `secret` is `secret_of(hash)`: a hash that no row names yet, or no longer, is there without effect.
SECRETS = """
CREATE TABLE secrets (mailbox TEXT NOT NULL, secret TEXT NOT NULL, hash TEXT NOT NULL,
    PRIMARY KEY (mailbox, secret)) WITHOUT ROWID;
"""
# For a file whose hashes are not named yet, one for each mailbox. One that came before its row, and whose row never came,
# was in force: it stands under the former name, too, until the page comes again.
NAMED_SECRETS = f"""
ALTER TABLE secrets RENAME TO former;
{SECRETS}
INSERT INTO secrets SELECT mailbox, secret_of(hash), hash FROM former;
INSERT OR IGNORE INTO secrets SELECT mailbox, m.secret, hash FROM former JOIN node.mailboxes m ON m.id = mailbox;
DROP TABLE former;
DROP TABLE IF EXISTS staged;
"""  # noqa: S608 a constant

# `changed` grows with every change, so that a reader can ask for what is new; domain_usage is kept by
# triggers, so that a customer's sum costs one row a domain.
USAGE = """
CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), generation TEXT NOT NULL,
    changed INTEGER NOT NULL);
INSERT INTO meta VALUES (1, lower(hex(randomblob(8))), 0);
CREATE TABLE usage (address TEXT PRIMARY KEY, bytes INTEGER NOT NULL DEFAULT 0,
    messages INTEGER NOT NULL DEFAULT 0, last_sign_in INTEGER, changed INTEGER NOT NULL DEFAULT 0);
CREATE INDEX usage_changed ON usage (changed);
CREATE TABLE domain_usage (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER usage_inserted AFTER INSERT ON usage BEGIN
    UPDATE meta SET changed = changed + 1;
    UPDATE usage SET changed = (SELECT changed FROM meta) WHERE address = NEW.address;
    INSERT INTO domain_usage (name, bytes)
        VALUES (substr(NEW.address, instr(NEW.address, '@') + 1), NEW.bytes)
        ON CONFLICT (name) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER usage_updated AFTER UPDATE OF bytes, messages, last_sign_in ON usage
WHEN (OLD.bytes, OLD.messages, OLD.last_sign_in) IS NOT (NEW.bytes, NEW.messages, NEW.last_sign_in) BEGIN
    UPDATE meta SET changed = changed + 1;
    UPDATE usage SET changed = (SELECT changed FROM meta) WHERE address = NEW.address;
    UPDATE domain_usage SET bytes = bytes + NEW.bytes - OLD.bytes
        WHERE name = substr(NEW.address, instr(NEW.address, '@') + 1);
END;
CREATE TRIGGER usage_deleted AFTER DELETE ON usage BEGIN
    UPDATE domain_usage SET bytes = bytes - OLD.bytes
        WHERE name = substr(OLD.address, instr(OLD.address, '@') + 1);
END;
"""


def create(path: Path, script: str) -> None:
    """Make a database with these tables, unless it has them. The file's mode and owner are the caller's
    business: it must exist, so that they hold from its first byte on."""
    connection = connect(path)
    try:
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
    finally:
        connection.close()


def add(path: Path, script: str) -> None:
    """Add to a database what it may lack."""
    connection = connect(path)
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {script} COMMIT;")
    finally:
        connection.close()


def create_node(path: Path) -> None:
    """Make node.db at the place of a fresh node: revision 0, mark ""; one that is there gets what it lacks."""
    create(path, NODE)
    add(path, STAGING)
    connection = connect(path)
    try:
        with transaction(connection):
            for table, column, definition in ADDED:
                if not _has(connection, table, column):
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")
    finally:
        connection.close()


def create_secrets(path: Path, node: Path) -> None:
    """Make secrets.db beside node.db; one that is there gets what it lacks."""
    create(path, SECRETS)
    connection = connect(path)
    try:
        if not _has(connection, "secrets", "secret"):
            connection.create_function("secret_of", 1, secret_of, deterministic=True)
            with attached(connection, node, "node"):
                connection.executescript(f"BEGIN IMMEDIATE; {NAMED_SECRETS} COMMIT;")
    finally:
        connection.close()


def create_usage(path: Path) -> None:
    """Make usage.db; its generation tells cursors of an earlier file from its own."""
    create(path, USAGE)


def secret_of(password_hash: str) -> str:
    """How a mailbox's row names its password hash: SHA-256 in hex."""
    return hashlib.sha256(password_hash.encode()).hexdigest()


class Writing(sqlite3.Connection):
    """A writing connection."""

    path = ""


class HeldUp(sqlite3.OperationalError):
    """A reader keeps the log from being cut off."""

    sqlite_errorname = "SQLITE_BUSY"


# Files whose disk has failed, or may have before this process came: what the kernel could not write it keeps as if
# it were written, and ext4 forgets for good to note that the place was used. So nothing may rely on that part of the
# log again, though it reads well.
_doubtful: set[str] = set()


def connect(path: Path) -> Writing:
    """A writing connection; transactions are begun by hand. An acknowledged page must survive a power cut, so
    every commit is flushed (`synchronous = FULL`; NORMAL in WAL mode would lose it)."""
    os.umask(0o007)  # -wal and -shm are for the group of the directory, never for others
    connection = sqlite3.connect(
        path, timeout=10, isolation_level=None, check_same_thread=False, factory=Writing
    )
    connection.path = str(path)
    _doubtful.add(connection.path)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -2000")
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A reading connection: it can change nothing, though its user may write the files (WAL demands it)."""
    uri = f"file:{path}?mode=rw"  # a read-only open fails when the last writer removed -shm
    connection = sqlite3.connect(uri, uri=True, timeout=1, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -2000")
    return connection


@contextmanager
def transaction(connection: Writing, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """One writing transaction: written when the block ends, undone when it raises. IMMEDIATE locks every attached
    file, too; where one is attached for reading only, BEGIN alone leaves it to its writers (and what is written
    has to be written first, before anything is read)."""
    if connection.path in _doubtful:
        _begin_new_log(connection)
    try:
        connection.execute(begin)
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        if str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_IOERR"):
            _doubtful.add(connection.path)
        if connection.in_transaction:  # a full or failing disk has SQLite undo it by itself
            connection.execute("ROLLBACK")
        raise


@contextmanager
def attached(connection: sqlite3.Connection, path: Path, name: str) -> Iterator[None]:
    """Another file's tables under this name."""
    connection.execute(f"ATTACH ? AS {name}", (str(path),))
    try:
        yield
    finally:
        connection.execute(f"DETACH {name}")


def point(node: sqlite3.Connection) -> wire.Point:
    """Where the node is in its history."""
    revision, mark = node.execute("SELECT revision, mark FROM meta").fetchone()
    return wire.Point(revision=revision, mark=mark)


def mailbox_at(node: sqlite3.Connection, address: str) -> str | None:
    """The id of the mailbox that has this address now."""
    local_part, _, domain = address.rpartition("@")
    query = (
        "SELECT m.id FROM domains d JOIN mailboxes m ON m.domain = d.id WHERE d.name = ? AND m.local_part = ?"
    )
    found = node.execute(query, (domain, local_part)).fetchone()
    return str(found[0]) if found else None


def effective(node: sqlite3.Connection) -> int:
    """The revision up to which everything has come about."""
    return int(node.execute("SELECT effective FROM meta").fetchone()[0])


def _has(connection: sqlite3.Connection, table: str, column: str) -> bool:
    query = "SELECT 1 FROM pragma_table_info(?) WHERE name = ?"
    return connection.execute(query, (table, column)).fetchone() is not None


def _begin_new_log(connection: Writing) -> None:
    """Copy what is committed from the log into the database, and cut the log off."""
    is_held_up = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if is_held_up:
        raise HeldUp
    _doubtful.discard(connection.path)
