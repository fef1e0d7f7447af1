"""What follows from committed rows outside node.db: DKIM key files, ended sessions, forgotten secrets and
usage.

The page's own transaction wrote down what has to follow (table `effects`); `bring_about` does it, in batches and
as often as it takes, and only then moves `effective`. Everything here may run twice: after a crash it does."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from mailnode import schema
from mailnode.ledger import Ledger
from mailnode.sessions import Sessions
from mailnode.signing import Signing
from mailnode.store import Store

# Whether the address :local @ :domain may sign in: the same question as Dovecot's first passdb.
MAY_SIGN_IN = f"""
SELECT 1 FROM domains d JOIN mailboxes m ON m.domain = d.id WHERE d.name = ? AND m.local_part = ? AND NOT
EXISTS (SELECT 1 FROM states s WHERE s.subject IN (m.id, d.id, d.customer) AND s.sign_in = 1 AND
{schema.HOLDS}) """  # noqa: S608 a constant

BATCH = 1_000  # effects at a time

DIRECT_KICKS = 10  # up to here one call for each address is cheaper than asking who is there

WAITING_FOR = {
    "mailbox": """SELECT m.local_part || '@' || d.name FROM mailboxes m JOIN domains d ON d.id = m.domain
        WHERE m.id = ?""",
    "domain": "SELECT name FROM domains WHERE id = ?",
    "customer": "SELECT name FROM domains WHERE customer = ?",
}

Pending = Sequence[tuple[int, str, str, str]]  # (id, kind, subject, detail), oldest first


class Outcome(NamedTuple):
    """What was brought about and wants a second look: addresses whose sessions were ended, and recipients
    (addresses, or domains for all of theirs) whose receiving is no longer stopped. `done`: nothing is pending any
    more."""

    kicked: set[str]
    resumed: set[str]
    done: bool


class Effects:
    """Runs what is pending; under the same lock as `Store.apply`."""

    def __init__(self, store: Store, sessions: Sessions) -> None:
        self.store = store
        self.sessions = sessions
        self.signing = Signing(store)

    async def bring_about(self, until: float) -> Outcome:
        """Do what is pending, batch after batch until `until` (time.monotonic()), then move `effective`. Raises
        SessionsError or OSError when something has to be tried again; nothing of its batch is marked as done then."""
        kicked: set[str] = set()
        resumed: set[str] = set()
        while True:
            pending = self._next_batch()
            # Sessions first: one that ends writes its mailbox's usage once more.
            kicked |= await self._end_sessions(pending)
            await asyncio.to_thread(self._follow, pending)
            resumed |= self._resumed(pending)
            done = not self.lagging()
            if done or time.monotonic() > until:
                return Outcome(kicked, resumed, done)

    def _next_batch(self) -> Pending:
        """The oldest ones; a page of keys is much work and ends a batch."""
        query = "SELECT id, kind, subject, detail FROM effects ORDER BY id LIMIT ?"
        pending: Pending = self.store.node.execute(query, (BATCH,)).fetchall()
        pages = [number for number, (_, kind, _, _) in enumerate(pending) if kind == "page of keys"]
        return pending[: pages[0] + 1] if pages else pending

    def _follow(self, pending: Pending) -> None:
        """Everything that follows but sessions, and that it is done."""
        with self.store.transaction():
            pass  # where node.db's disk has failed, nothing is deleted that a power cut may bring back the need for
        kinds = {kind for _, kind, _, _ in pending}
        self.signing.settle({subject for _, kind, subject, _ in pending if kind == "dkim" and subject})
        for _, kind, subject, _ in pending:
            if kind == "page of keys":
                self.signing.install_page(subject)
        if "keys" in kinds:
            self.signing.remove_strange()
        if "secrets" in kinds:
            self.store.forget_strange_hashes()
        ledger = Ledger(self.store)
        for _, kind, subject, detail in pending:
            if kind == "gone":
                ledger.forget(subject, detail)
            elif kind == "kick" and detail:  # the mailbox whose password is another now
                ledger.secrets.append(detail)
            elif kind == "arrived":
                ledger.welcome(subject, detail)
        ledger.write()
        with self.store.transaction() as node:
            ledger.close()
            if pending:
                node.execute("DELETE FROM effects WHERE id <= ?", (pending[-1][0],))
            node.execute("UPDATE meta SET effective = revision WHERE NOT EXISTS (SELECT 1 FROM effects)")

    def lagging(self) -> bool:
        """Whether something is still pending."""
        return self.store.effective() < self.store.point().revision

    async def _end_sessions(self, pending: Pending) -> set[str]:
        """End the sessions of changed and gone mailboxes, and of everybody who may no longer be signed in."""
        addresses = {subject for _, kind, subject, _ in pending if kind == "kick"}
        addresses |= {detail for _, kind, _, detail in pending if kind == "gone"}
        sweep = any(kind == "sessions" for _, kind, _, _ in pending)
        if sweep or len(addresses) > DIRECT_KICKS:
            present = await self.sessions.who()
            stopped = {address for address in present if not self.may_sign_in(address)} if sweep else set()
            addresses = (addresses & present) | stopped
        for address in addresses:
            await self.sessions.kick(address)
        return addresses

    def _resumed(self, pending: Pending) -> set[str]:
        """The recipients whose receiving is no longer stopped by a state that was there."""
        found = set()
        for _, kind, subject, subject_kind in pending:
            if kind == "resume":
                found |= {
                    row[0]
                    for row in self.store.node.execute(WAITING_FOR[subject_kind], (subject,)).fetchall()
                }
        return found

    def may_sign_in(self, address: str) -> bool:
        """Whether this address could sign in now, given the right password."""
        local_part, _, domain = address.rpartition("@")
        return self.store.node.execute(MAY_SIGN_IN, (domain, local_part)).fetchone() is not None
