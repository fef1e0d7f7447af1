"""What the node really holds of one domain, in hashes that the panel can compare with its own wish.

Rows are put together from where they are in force: node.db, secrets.db and Rspamd's key files.
"""

from collections.abc import Iterator

from mailnode import wire
from mailnode.store import Store

STATES = """
SELECT id, subject_kind, subject, sign_in, send, receive, reason, until FROM states WHERE subject IN (
    SELECT ?1 UNION ALL SELECT customer FROM domains WHERE id = ?1
    UNION ALL SELECT id FROM mailboxes WHERE domain = ?1)
"""


def digest(store: Store, domain: str, after: str, limit: int) -> wire.Digest:
    """One page of the digest of a domain; a domain that is not here has no rows."""
    hashes = sorted((kind, key, wire.row_hash(kind, key, data)) for kind, key, data in _rows(store, domain))
    later = [entry for entry in hashes if f"{entry[0]}:{entry[1]}" > after]
    page = later[:limit]
    point = store.point()
    return wire.Digest(
        revision=point.revision,
        mark=point.mark,
        domain=domain,
        count=len(hashes),
        sha256=wire.digest_hash(hashes),
        rows=[wire.DigestRow(kind=kind, key=key, hash=value) for kind, key, value in page],
        next=f"{page[-1][0]}:{page[-1][1]}" if len(later) > limit else None,
    )


def _rows(store: Store, domain: str) -> Iterator[tuple[str, str, wire.Data]]:
    """Every row of the domain as (kind, key, data)."""
    node = store.node
    query = "SELECT customer, name, accepts FROM domains WHERE id = ?"
    for customer, name, accepts in node.execute(query, (domain,)).fetchall():
        yield "domain", domain, wire.Domain(customer=customer, name=name, accepts=bool(accepts))
        yield from _customer(store, customer)
        yield from _keys(store, domain, name)
    yield from _mailboxes(store, domain)
    for key, kind, subject, sign_in, send, receive, reason, until in node.execute(
        STATES, (domain,)
    ).fetchall():
        named = {"sign_in": sign_in, "send": send, "receive": receive}
        stops = [stop for stop, is_set in named.items() if is_set]
        fields = {"subject_kind": kind, "subject": subject, "stops": stops, "reason": reason, "until": until}
        yield "state", key, wire.State(**fields)


def _customer(store: Store, key: str) -> Iterator[tuple[str, str, wire.Data]]:
    query = "SELECT username, storage_bytes FROM customers WHERE id = ?"
    for username, storage_bytes in store.node.execute(query, (key,)).fetchall():
        yield "customer", key, wire.Customer(username=username, storage_bytes=storage_bytes)


def _keys(store: Store, domain: str, name: str) -> Iterator[tuple[str, str, wire.Data]]:
    query = "SELECT id, selector, signs FROM dkim WHERE domain = ?"
    for key, selector, signs in store.node.execute(query, (domain,)).fetchall():
        private_key = store.keys.read(name, selector) or ""
        fields = {"domain": domain, "selector": selector, "private_key": private_key, "signs": bool(signs)}
        yield "dkim", key, wire.Dkim(**fields)


def _mailboxes(store: Store, domain: str) -> Iterator[tuple[str, str, wire.Data]]:
    query = "SELECT id, local_part, quota_bytes FROM mailboxes WHERE domain = ?"
    for key, local_part, quota_bytes in store.node.execute(query, (domain,)).fetchall():
        found = store.secrets.execute("SELECT hash FROM secrets WHERE mailbox = ?", (key,)).fetchone()
        fields = {"domain": domain, "local_part": local_part, "quota_bytes": quota_bytes}
        yield "mailbox", key, wire.Mailbox(**fields, password_hash=found[0] if found else "")
