"""Usage, last sign-in and what was sent, as the panel asks for them: what changed after a cursor.

Dovecot writes usage.db by address (plugins quota_clone and last_login); here addresses become mailbox ids. A
cursor is "<generation of the file>.<number of the change>" of usage.db and, after a colon, of sends.db; one of another
generation starts again from the beginning."""

import sqlite3

from mailnode import schema, wire
from mailnode.sends import sent_page

CHANGED = """SELECT address, bytes, messages, last_sign_in, changed FROM usage
WHERE changed > ? ORDER BY changed LIMIT ?"""


def usage_page(
    node: sqlite3.Connection, usage: sqlite3.Connection, sends: sqlite3.Connection, after: str, limit: int
) -> wire.UsagePage:
    """What changed after the cursor, oldest change first; addresses that are no mailbox are left out."""
    held, _, sent = after.partition(":")
    entries, held = _held_page(node, usage, held, limit)
    counts, sent = sent_page(node, sends, sent, limit)
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
        mailbox = schema.mailbox_at(node, address)
        if mailbox:
            counts = {"bytes": max(size, 0), "messages": max(messages, 0), "last_sign_in": last_sign_in}
            entries.append(wire.Usage(mailbox=mailbox, **counts))
    return entries, f"{generation}.{since}"
