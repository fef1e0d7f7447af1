"""Usage, last sign-in and what was sent, as the panel asks for them: what changed after a cursor.

Dovecot writes usage.db by address (plugins quota_clone and last_login); here addresses become mailbox ids. A
cursor is "<generation of the file>.<number of the change>" of usage.db and, after a colon, of sends.db; one of another
generation starts again from the beginning."""

import sqlite3

from mailnode import wire
from mailnode.sends import sent_page

CHANGED = """SELECT address, bytes, messages, last_sign_in, changed FROM usage
WHERE changed > ? ORDER BY changed LIMIT ?"""
MAILBOX = (
    "SELECT m.id FROM domains d JOIN mailboxes m ON m.domain = d.id WHERE d.name = ? AND m.local_part = ?"
)


def usage_page(
    node: sqlite3.Connection, usage: sqlite3.Connection, sends: sqlite3.Connection, after: str, limit: int
) -> wire.UsagePage:
    """What changed after the cursor, oldest change first; addresses that are no mailbox are left out."""
    held, _, sent = after.partition(":")
    entries, held = _held_page(node, usage, held, limit)
    counts, sent = sent_page(sends, sent, limit)
    return wire.UsagePage(entries=entries, sent=counts, next=f"{held}:{sent}")


def _held_page(
    node: sqlite3.Connection, usage: sqlite3.Connection, after: str, limit: int
) -> tuple[list[wire.Usage], str]:
    generation = usage.execute("SELECT generation FROM meta").fetchone()[0]
    before, _, number = after.partition(".")
    since = min(int(number), 2**62) if before == generation and number.isdecimal() else 0
    entries = []
    for address, size, messages, last_sign_in, changed in usage.execute(CHANGED, (since, limit)).fetchall():
        since = changed
        local_part, _, domain = address.rpartition("@")
        found = node.execute(MAILBOX, (domain, local_part)).fetchone()
        if found:
            counts = {"bytes": max(size, 0), "messages": max(messages, 0), "last_sign_in": last_sign_in}
            entries.append(wire.Usage(mailbox=found[0], **counts))
    return entries, f"{generation}.{since}"
