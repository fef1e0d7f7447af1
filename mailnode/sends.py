"""sends.db: what the look-up service has counted, written by it once a second and read by the agent.

A subject is a mailbox by its address, a customer by its id, or the server (""). `changed` grows with every change,
as in usage.db. What is lost with the service is what it counted in its last second."""

import json
import sqlite3
from pathlib import Path
from typing import NamedTuple

from mailnode import schema, wire
from mailnode.limits import Message, Tally
from mailnode.windows import Counts

SENDS = """
CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), generation TEXT NOT NULL, changed INTEGER NOT NULL,
    log_inode INTEGER NOT NULL DEFAULT 0, log_offset INTEGER NOT NULL DEFAULT 0);
INSERT INTO meta (one, generation, changed) VALUES (1, lower(hex(randomblob(4))), 0);
CREATE TABLE counts (kind TEXT NOT NULL, subject TEXT NOT NULL, hour INTEGER NOT NULL, day INTEGER NOT NULL,
    hour_rolls_at INTEGER, day_rolls_at INTEGER, hour_parts TEXT NOT NULL, day_parts TEXT NOT NULL,
    changed INTEGER NOT NULL, PRIMARY KEY (kind, subject)) WITHOUT ROWID;
CREATE INDEX counts_changed ON counts (changed);
-- Messages that a filter may still refuse, for which their recipients are given back.
CREATE TABLE messages (id TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID;
"""
CHANGED = """SELECT kind, subject, hour, day, hour_rolls_at, day_rolls_at, changed FROM counts
WHERE changed > ? AND kind <> 'server' ORDER BY changed LIMIT ?"""


class Place(NamedTuple):
    """How far Postfix's log has been read."""

    inode: int = 0
    offset: int = 0


class Snapshot(NamedTuple):
    """What there is to write: rows of `counts` without `changed`, messages that came and went, and the place."""

    counts: list[tuple[object, ...]]
    messages: list[tuple[str, Message]]
    gone: list[tuple[str]]
    place: Place


def create_sends(path: Path) -> None:
    """Make sends.db."""
    schema.create(path, SENDS)


def load(path: Path) -> tuple[Tally, Place]:
    """What was counted before; raises sqlite3.Error."""
    connection = schema.connect_read_only(path)
    try:
        tally = Tally()
        query = "SELECT kind, subject, hour_parts, day_parts FROM counts WHERE day > 0 OR hour > 0"
        for kind, subject, hour, day in connection.execute(query):
            tally.load((kind, subject), Counts(json.loads(hour), json.loads(day)))
        rows = connection.execute("SELECT id, data FROM messages").fetchall()
        found = {key: _message(data) for key, data in rows}
        for key in sorted(found, key=lambda key: found[key].at):
            tally.messages[key] = found[key]
        return tally, Place(*connection.execute("SELECT log_inode, log_offset FROM meta").fetchone())
    finally:
        connection.close()


def snapshot(tally: Tally, place: Place) -> Snapshot:
    """What has changed since the last one."""
    taken = Snapshot(
        [_row(tally, subject) for subject in tally.changed],
        [(key, tally.messages[key]) for key in tally.new_messages],
        [(key,) for key in tally.gone_messages],
        place,
    )
    tally.changed, tally.new_messages, tally.gone_messages = set(), set(), set()
    return taken


def give_back(tally: Tally, taken: Snapshot) -> None:
    """It could not be written: it is in the next snapshot, too."""
    tally.changed |= {(str(kind), str(subject)) for kind, subject, *_ in taken.counts}
    tally.new_messages |= {key for key, _ in taken.messages if key in tally.messages}
    tally.gone_messages |= {key for (key,) in taken.gone}


def write(connection: schema.Writing, taken: Snapshot) -> None:
    """Write it in one transaction; raises sqlite3.Error."""
    with schema.transaction(connection):
        number = int(connection.execute("SELECT changed FROM meta").fetchone()[0])
        numbered = [(*_in_json(row), number + place) for place, row in enumerate(taken.counts, start=1)]
        messages = [(key, json.dumps(message)) for key, message in taken.messages]
        connection.executemany("INSERT OR REPLACE INTO counts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", numbered)
        connection.executemany("INSERT OR REPLACE INTO messages VALUES (?, ?)", messages)
        connection.executemany("DELETE FROM messages WHERE id = ?", taken.gone)
        query = "UPDATE meta SET changed = ?, log_inode = ?, log_offset = ?"
        connection.execute(query, (number + len(numbered), *taken.place))


def sent_page(
    node: sqlite3.Connection, sends: sqlite3.Connection, after: str, limit: int
) -> tuple[list[wire.Sent], str]:
    """What changed after the cursor, oldest change first, and the cursor to go on from; addresses that are no mailbox
    are left out."""
    generation = sends.execute("SELECT generation FROM meta").fetchone()[0]
    before, _, number = after.partition(".")
    since = min(int(number), 2**62) if before == generation and number.isdecimal() else 0
    entries = []
    for kind, subject, hour, day, hour_rolls_at, day_rolls_at, changed in sends.execute(
        CHANGED, (since, limit)
    ):
        since = changed
        if kind == "mailbox":
            subject = schema.mailbox_at(node, subject)
        if subject is None:
            continue
        counted = {"hour": hour, "day": day, "hour_rolls_at": hour_rolls_at, "day_rolls_at": day_rolls_at}
        entries.append(wire.Sent(subject_kind=kind, subject=subject, **counted))
    return entries, f"{generation}.{since}"


def _row(tally: Tally, subject: tuple[str, str]) -> tuple[object, ...]:
    counts = tally.counts.get(subject) or Counts()
    hour, day = counts.hour, counts.day
    parts = ([tuple(part) for part in window.parts] for window in (hour, day))
    return (*subject, hour.total, day.total, hour.rolls_at, day.rolls_at, *parts)


def _in_json(row: tuple[object, ...]) -> tuple[object, ...]:
    """The parts of a row as its table has them; in the thread that writes, which no answer waits for."""
    return (*row[:-2], *(json.dumps(parts, separators=(",", ":")) for parts in row[-2:]))


def _message(data: str) -> Message:
    subjects, recipients, hour, day, at = json.loads(data)
    return Message(tuple((kind, key) for kind, key in subjects), recipients, tuple(hour), tuple(day), at)
