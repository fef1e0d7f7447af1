"""What a mail server really holds, read from its own files without mailnode's code."""

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mailnode import wire

Hashes = dict[tuple[str, str], str]  # the hash of each row, by kind and key


def holding(directory: Path) -> Hashes:
    """The hash of each row that stands in the files of the mail server in `directory`."""
    node = sqlite3.connect(f"file:{directory}/db/node.db?mode=rw", uri=True)
    secrets = sqlite3.connect(f"file:{directory}/secrets/secrets.db?mode=rw", uri=True)
    try:
        hashes = {row[:2]: row[2] for row in secrets.execute("SELECT mailbox, secret, hash FROM secrets")}
        rows = node_rows(node, hashes, directory / "dkim")
        return {(kind, key): wire.row_hash(kind, key, data) for kind, key, data in rows}
    finally:
        node.close()
        secrets.close()


def node_rows(
    node: sqlite3.Connection, hashes: Mapping[tuple[str, str], str], keys: Path
) -> Iterator[tuple[str, str, Any]]:
    """Kind, key and content of each row; what is missing of it outside node.db reads "none"."""
    query = "SELECT id, username, storage_bytes, contact, sends_per_day, sends_per_day_in_sum FROM customers"
    for key, username, storage, contact, sends, in_sum in node.execute(query):
        fields = {"username": username, "storage_bytes": storage, "contact": contact}
        yield "customer", key, wire.Customer(**fields, sends_per_day=sends, sends_per_day_in_sum=in_sum)
    names = {}
    for key, customer, name, accepts in node.execute("SELECT id, customer, name, accepts FROM domains"):
        names[key] = name
        yield "domain", key, wire.Domain(customer=customer, name=name, accepts=bool(accepts))
    query = "SELECT id, domain, local_part, quota_bytes, secret, sends_per_day, raised_to, raised_until FROM mailboxes"
    for key, domain, local_part, quota, secret, sends, raised, until in node.execute(query):
        fields = {"domain": domain, "local_part": local_part, "quota_bytes": quota}
        fields |= {"sends_per_day": sends, "raised_to": raised, "raised_until": until}
        yield "mailbox", key, wire.Mailbox(**fields, password_hash=hashes.get((key, secret), "none"))
    query = "SELECT id, domain, selector, signs, fingerprint FROM dkim"
    for key, domain, selector, signs, fingerprint in node.execute(query):
        # A key waits in the staging directory while the row of its domain has not come.
        staged = keys / "stage" / f"{key}.{fingerprint[:16]}"
        file = keys / names[domain] / f"{selector}.key" if domain in names else staged
        pem = file.read_text() if file.exists() else "none"
        yield "dkim", key, wire.Dkim(domain=domain, selector=selector, private_key=pem, signs=bool(signs))
    query = "SELECT id, subject_kind, subject, sign_in, send, receive, reason, until FROM states"
    for key, kind, subject, sign_in, send, receive, reason, until in node.execute(query):
        stops = [
            stop for stop, is_set in (("sign_in", sign_in), ("send", send), ("receive", receive)) if is_set
        ]
        fields = {"subject_kind": kind, "subject": subject, "stops": stops, "reason": reason, "until": until}
        yield "state", key, wire.State(**fields)
