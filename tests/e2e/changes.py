"""A stream of changes over HTTP, and what of it was acknowledged: the panel must keep that, whatever dies."""

import contextlib
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from secrets import token_hex

import requests

from tests.e2e.hosting import Tenant
from tests.e2e.stack import Stack

NEXT = {
    "live": ("change", "password", "suspend", "delete"),
    "stopped": ("unsuspend", "change", "delete"),
    "deleted": ("restore",),
}
BECOMES = {"add": "live", "suspend": "stopped", "unsuspend": "live", "delete": "deleted", "restore": "live"}


@dataclass
class Known:
    """What was acknowledged of one mailbox; `unsure` names what was sent without an answer since."""

    state: str = "unknown"
    quota_mb: int = 100
    unsure: set[str] = field(default_factory=set)


class Stream:
    """One person who goes on changing mailboxes of one domain until told to stop."""

    def __init__(self, tenant: Tenant, domain: str, seed: int) -> None:
        self.tenant, self.domain, self.random = tenant, domain, random.Random(seed)
        self.known: dict[str, Known] = {}
        self.acknowledged = 0

    def run(self, over: threading.Event) -> None:
        while not over.is_set():
            self.once()
            over.wait(self.random.uniform(0, 0.05))

    def once(self) -> None:
        sure = [name for name, known in self.known.items() if not known.unsure]
        if not sure or self.random.random() < 0.3:
            name = f"s{token_hex(4)}"
            self.known[name] = Known()
            return self.send(
                name, "add", ["mailboxes", "add"], username=name, password=token_hex(8), name="", quota_mb=100
            )
        name = self.random.choice(sure)
        verb = self.random.choice(NEXT[self.known[name].state])
        fields: dict[str, object] = {"stops": self.random.choice(["send", "receive", "sign_in"])}
        if verb == "change":
            fields = {"quota_mb": self.random.randint(1, 500), "name": token_hex(3)}
        elif verb == "password":
            fields = {"password": token_hex(8)}
        self.send(name, verb, ["mailboxes", name, verb], **fields)

    def send(self, mailbox: str, verb: str, path: list[str], **fields: object) -> None:
        """Send one change; without a good answer it may have come about or not, and the mailbox is left alone."""
        known = self.known[mailbox]
        known.unsure.add(verb)
        with contextlib.suppress(requests.RequestException):
            if self.tenant.person.post(self.tenant.page(self.domain, *path), **fields).status_code == 302:
                known.unsure.discard(verb)
                known.state = BECOMES.get(verb, known.state)
                known.quota_mb = int(str(fields.get("quota_mb", known.quota_mb)))
                self.acknowledged += 1

    def lost_or_doubled(self, stack: Stack) -> list[str]:
        """Every mailbox of which the panel does not show, exactly once, what it had acknowledged."""
        query = """SELECT m.local_part, count(*), bool_or(m.deleted_at IS NOT NULL), max(m.quota_mb), (
            SELECT count(*) FROM accounts_auditentry a
            WHERE a.action = 'mailbox.add' AND a.subject = m.local_part || '@' || d.name)
            FROM domains_mailbox m JOIN domains_domain d ON d.id = m.domain_id WHERE d.name = %s GROUP BY 1, d.name"""
        found = {row[0]: row[1:] for row in stack.rows(query, self.domain)}
        wrong = []
        for name, known in self.known.items():
            count, deleted, quota, audited = found.get(name, (0, False, 0, 0))
            if known.unsure:
                is_right = count in (0, 1) and count == audited
            else:
                is_right = (count, deleted, quota, audited) == (
                    1,
                    known.state == "deleted",
                    known.quota_mb,
                    1,
                )
            if not is_right:
                wrong.append(f"{name}: {known}, but found {count, deleted, quota, audited}")
        return wrong


@contextlib.contextmanager
def running(streams: list[Stream]) -> Iterator[None]:
    """Let the streams run beside the block, and end them with it."""
    over = threading.Event()
    threads = [threading.Thread(target=stream.run, args=[over]) for stream in streams]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
