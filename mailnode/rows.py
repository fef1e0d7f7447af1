"""What the node really holds, as the wire carries it: rows are put together from where they are in force, node.db,
secrets.db and Rspamd's key files."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from mailnode import schema, wire
from mailnode.dkim import KeyFiles, Name
from mailnode.settings import Settings

Entry = tuple[str, str, wire.Data]  # kind, key, content

CUSTOMERS = "SELECT id, username, storage_bytes, contact, sends_per_day, sends_per_day_in_sum FROM customers"
DOMAINS = "SELECT id, customer, name, accepts FROM domains"
MAILBOXES = """SELECT m.id, m.domain, m.local_part, m.quota_bytes, s.hash, m.sends_per_day, m.raised_to,
    m.raised_until FROM mailboxes m
LEFT JOIN secrets.secrets s ON s.mailbox = m.id AND s.secret = m.secret"""
KEYS = """SELECT k.id, k.domain, k.selector, k.signs, d.name FROM dkim k
LEFT JOIN domain_names d ON d.id = k.domain"""
STATES = "SELECT id, subject_kind, subject, sign_in, send, receive, reason, until FROM states"

GIVEN = "(SELECT value FROM json_each(?))"  # ids, as one parameter
# Which states belong to the domains given, each with the domain: its own, its customer's, its mailboxes'.
STATES_OF = (
    "SELECT s.subject, s.id FROM states s WHERE s.subject IN",
    "SELECT d.id, s.id FROM domains d JOIN states s ON s.subject = d.customer WHERE d.id IN",
    "SELECT m.domain, s.id FROM mailboxes m JOIN states s ON s.subject = m.id WHERE m.domain IN",
)

# The next domains in the order of their ids that own anything; each step is one search in an index.
NEXT_DOMAINS = """WITH RECURSIVE
owners (id) AS (SELECT min(domain) FROM mailboxes WHERE domain > :after UNION ALL
    SELECT (SELECT min(domain) FROM mailboxes WHERE domain > o.id) FROM owners o WHERE o.id NOT NULL LIMIT :limit),
signers (id) AS (SELECT min(domain) FROM dkim WHERE domain > :after UNION ALL
    SELECT (SELECT min(domain) FROM dkim WHERE domain > o.id) FROM signers o WHERE o.id NOT NULL LIMIT :limit)
SELECT id FROM owners WHERE id NOT NULL UNION SELECT id FROM signers WHERE id NOT NULL
UNION SELECT id FROM (SELECT id FROM domains WHERE id > :after ORDER BY id LIMIT :limit) ORDER BY id LIMIT :limit"""

KINDS = ("customer", "dkim", "domain", "mailbox", "state")  # in the order of their names, as rows are walked


@dataclass(frozen=True)
class Reader:
    """One state of the node's databases, and its key files."""

    node: sqlite3.Connection
    keys: KeyFiles

    def next_domains(self, after: str, limit: int) -> list[str]:
        """The ids of the next domains that the node holds anything of."""
        found = self.node.execute(NEXT_DOMAINS, {"after": after, "limit": limit})
        return [row[0] for row in found]

    def of_domains(self, ids: Iterable[str]) -> dict[str, list[Entry]]:
        """Everything of these domains: each one's own row, its customer, mailboxes, keys, and the states of all of
        these; a domain that is not here has no rows."""
        given = json.dumps(list(ids))
        found: dict[str, list[Entry]] = defaultdict(list)
        customers = {entry[1]: entry for entry in self._customers_of(given)}
        for key, data in self._domains(f"WHERE id IN {GIVEN}", given):
            found[key].append(("domain", key, data))
            if data.customer in customers:
                found[key].append(customers[data.customer])
        for key, mailbox in self._mailboxes(f"WHERE m.domain IN {GIVEN}", given):
            found[mailbox.domain].append(("mailbox", key, mailbox))
        for key, dkim in self._keys(f"WHERE k.domain IN {GIVEN}", given):
            found[dkim.domain].append(("dkim", key, dkim))
        for domain, entry in self._states_of(given):
            found[domain].append(entry)
        return found

    def after(self, kind: str, key: str, limit: int) -> list[wire.Row]:
        """The next rows in the order of (kind, key) that lie behind this place."""
        rows: list[wire.Row] = []
        for name in KINDS:
            if name >= kind and len(rows) < limit:
                behind = key if name == kind else ""
                entries = self._page(name, behind, limit - len(rows))
                rows += [wire.Row(kind=name, key=k, data=msgspec.to_builtins(data)) for k, data in entries]
        return rows

    def _page(self, kind: str, after: str, limit: int) -> Iterator[tuple[str, wire.Data]]:
        readers: dict[str, tuple[Callable[..., Iterator[tuple[str, wire.Data]]], str]] = {
            "customer": (self._customers, "id"),
            "dkim": (self._keys, "k.id"),
            "domain": (self._domains, "id"),
            "mailbox": (self._mailboxes, "m.id"),
            "state": (self._states, "id"),
        }
        read, column = readers[kind]
        return read(f"WHERE {column} > ? ORDER BY {column} LIMIT ?", after, limit)

    def _customers_of(self, given: str) -> Iterator[Entry]:
        where = f"WHERE id IN (SELECT customer FROM domains WHERE id IN {GIVEN})"  # noqa: S608 constants
        for key, data in self._customers(where, given):
            yield "customer", key, data

    def _states_of(self, given: str) -> Iterator[tuple[str, Entry]]:
        owners = [row for query in STATES_OF for row in self.node.execute(f"{query} {GIVEN}", (given,))]
        wanted = json.dumps(list({state for _, state in owners}))
        states = dict(self._states(f"WHERE id IN {GIVEN}", wanted)) if owners else {}
        for domain, state in owners:
            yield domain, ("state", state, states[state])

    def _customers(self, where: str, *values: object) -> Iterator[tuple[str, wire.Customer]]:
        for key, username, storage, contact, sends, in_sum in self.node.execute(
            f"{CUSTOMERS} {where}", values
        ):
            limits = {"sends_per_day": sends, "sends_per_day_in_sum": in_sum}
            yield key, wire.Customer(username=username, storage_bytes=storage, contact=contact, **limits)

    def _domains(self, where: str, *values: object) -> Iterator[tuple[str, wire.Domain]]:
        for key, customer, name, accepts in self.node.execute(f"{DOMAINS} {where}", values):
            yield key, wire.Domain(customer=customer, name=name, accepts=bool(accepts))

    def _mailboxes(self, where: str, *values: object) -> Iterator[tuple[str, wire.Mailbox]]:
        for key, domain, local_part, quota, secret, sends, raised, until in self.node.execute(
            f"{MAILBOXES} {where}", values
        ):
            what = {
                "domain": domain,
                "local_part": local_part,
                "quota_bytes": quota,
                "password_hash": secret or "",
            }
            limits = {"sends_per_day": sends, "raised_to": raised, "raised_until": until}
            yield key, wire.Mailbox(**what, **limits)

    def _keys(self, where: str, *values: object) -> Iterator[tuple[str, wire.Dkim]]:
        for key, domain, selector, signs, name in self.node.execute(f"{KEYS} {where}", values):
            private_key = (name and self.keys.read(Name(name, selector, bool(signs)))) or ""
            yield key, wire.Dkim(domain=domain, selector=selector, private_key=private_key, signs=bool(signs))

    def _states(self, where: str, *values: object) -> Iterator[tuple[str, wire.State]]:
        for key, kind, subject, sign_in, send, receive, reason, until in self.node.execute(
            f"{STATES} {where}", values
        ):
            named = {"sign_in": sign_in, "send": send, "receive": receive}
            stops = [stop for stop, is_set in named.items() if is_set]
            yield key, wire.State(subject_kind=kind, subject=subject, stops=stops, reason=reason, until=until)  # type: ignore[arg-type]


@contextmanager
def reading(settings: Settings) -> Iterator[Reader]:
    """Read without holding up whoever writes."""
    node = schema.connect_read_only(settings.database)
    try:
        node.execute("ATTACH ? AS secrets", (f"file:{settings.secrets}?mode=rw",))
        node.execute("BEGIN")
        node.execute("SELECT (SELECT 1 FROM meta), (SELECT 1 FROM secrets.secrets)")  # both as of now
        yield Reader(node, KeyFiles(settings.dkim))
    finally:
        node.close()
