"""What mailboxes hold, across their going and coming.

Dovecot counts usage by address. A mailbox that goes takes its count along (kept with its home, in
`gone_homes`), so that an address that is made again starts at nothing, and a mailbox that comes back has what
it had."""

from mailnode import schema
from mailnode.store import Store

Held = tuple[int, int, int | None]  # bytes, messages, last sign-in


class Ledger:
    """Collects what has to happen for many mailboxes and writes it in one transaction for each file, in an
    order in which a crash loses no count: homes, then usage and secrets, then (`close`, in the caller's
    transaction) the rest."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.usage: dict[str, Held | None] = {}  # by address, as it shall be
        self.homes: dict[str, Held] = {}  # by mailbox id, what a gone one held
        self.secrets: list[str] = []  # mailboxes that have another hash now, or none
        self.back: list[str] = []

    def forget(self, mailbox: str, address: str) -> None:
        """The mailbox is gone: its hash goes, its count stays with its home."""
        self.secrets.append(mailbox)
        if self._one("SELECT 1 FROM mailboxes WHERE id = ?", mailbox):
            return  # it has come back since
        held = self._held(address)
        if held:
            self.homes[mailbox] = held
            self.usage[address] = None

    def welcome(self, mailbox: str, address: str) -> None:
        """The mailbox is here: a new one begins with nothing, one that came back with what it held."""
        kept = self.homes.pop(mailbox, None)
        if kept is None:
            query = "SELECT bytes, messages, last_sign_in FROM gone_homes WHERE id = ?"
            kept = self._one(query, mailbox)
        self.back.append(mailbox)
        if kept or self._held(address):
            self.usage[address] = kept

    def write(self) -> None:
        """Write what was collected; twice does no harm."""
        if self.homes:
            with self.store.transaction() as node:
                query = "UPDATE gone_homes SET bytes = ?, messages = ?, last_sign_in = ? WHERE id = ?"
                node.executemany(query, [(*held, mailbox) for mailbox, held in self.homes.items()])
        if self.usage:
            with schema.transaction(self.store.usage):
                self.store.usage.executemany(
                    "DELETE FROM usage WHERE address = ?", [(a,) for a in self.usage]
                )
                query = "INSERT INTO usage (address, bytes, messages, last_sign_in) VALUES (?, ?, ?, ?)"
                self.store.usage.executemany(query, [(a, *held) for a, held in self.usage.items() if held])
        if self.secrets:
            self.store.forget_strange_hashes(self.secrets)

    def close(self) -> None:
        """Strike out the homes of those who came back; inside the transaction that ends the effects."""
        self.store.node.executemany(
            "DELETE FROM gone_homes WHERE id = ?", [(mailbox,) for mailbox in self.back]
        )

    def _held(self, address: str) -> Held | None:
        if address in self.usage:
            return self.usage[address]
        query = "SELECT bytes, messages, last_sign_in FROM usage WHERE address = ?"
        found: Held | None = self.store.usage.execute(query, (address,)).fetchone()
        return found

    def _one(self, query: str, *values: object) -> Held | None:
        found: Held | None = self.store.node.execute(query, values).fetchone()
        return found
