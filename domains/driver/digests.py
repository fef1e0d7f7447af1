"""Whether a mail server holds what it should: its domains compared by hashes, in steps; what differs is sent again and
stands in an incident until a later digest finds all of it equal.

Each step holds the server's sync off with nothing on its way, for less than a second, and compares both sides at one
revision. How far it came is noted after each, so that a killed digest goes on from there. Customers and suspensions are
compared once more by themselves, because some belong to no domain.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from domains.driver import wishes
from domains.driver.agent import Agent
from domains.driver.alone import DIGEST, SYNC, alone
from domains.driver.differing import SURPLUS, Found, between, differing, hash_of, summary
from domains.driver.labels import labels
from domains.driver.outcomes import want_rebuild
from domains.driver.points import confirmed
from domains.driver.rows import read
from domains.driver.stamping import Row, stamp_again
from domains.driver.sync import catch_up, sync
from domains.models import Incident, IncidentKind, Kind, MailServer, ServerRow, ServerSync
from domains.models.incident import close_incident, open_incident
from mailnode import wire

logger = logging.getLogger(__name__)

NIGHT = 2  # the hour (UTC) from which each server's nightly digest is due
DOMAINS, MAILBOXES = 250, 5_000  # of one step, at most; but a domain is never split
CATCHING_UP = 5.0  # seconds to send what is on its way
TRIES, PAUSE = 20, 0.25  # times and seconds between them to find a server with nothing on its way
RUN_SECONDS = (
    300.0  # of one run; then others of the slow queue have their turn, also where a server leads on for ever
)
MOST_MENDED = 1_000  # rows that are sent again one by one; where more differ, everything is sent anew

NEVER_CHANGE = {"mailbox": ("domain", "local_part"), "domain": ("name",)}  # a node refuses other values


class NotNow(Exception):
    """The server cannot be compared now; the message says why. The digest stays owed."""


def want_nightly() -> None:
    """Note a digest as owed by each server whose last one, and whose enrolment, lie before the last night."""
    now = timezone.now()
    night = now.replace(hour=NIGHT, minute=0, second=0, microsecond=0)
    night -= timedelta(days=1) if night > now else timedelta()
    rested = ServerSync.objects.filter(digest_wanted_at=None, wire__gte=2, server__enrolled_at__lt=night)
    rested.exclude(digest_at__gte=night).update(digest_wanted_at=now)


def owed() -> QuerySet[ServerSync]:
    """Those that owe a digest and can be asked for it now."""
    well = ServerSync.objects.filter(halted_at=None, failed_at=None, rebuild_wanted_at=None, wire__gte=2)
    return well.exclude(digest_wanted_at=None)


def digest(server_id: int) -> None:
    """Go on with the digest that is owed, unless another process is at it, until it is complete or the server cannot be
    asked any more. AgentError when the server fails.
    """
    with alone(DIGEST, server_id) as mine:
        state = owed().select_related("server__sync").filter(server=server_id).first() if mine else None
        if state is None or state.digest_wanted_at is None:
            return
        try:
            Walk(state.server, state.digest_wanted_at).run(state.digest_after)
        except NotNow as why:
            logger.info("The digest of mail server %s waits: %s", state.server, why)
        finally:
            sync(server_id)  # for whoever came while it was held off, and went away again


class Walk:
    """One digest of one server: part by part, each in the order of its keys."""

    def __init__(self, server: MailServer, started: datetime) -> None:
        self.server = server
        self.started = started
        self.agent = Agent(server)
        self.mended = 0
        self.opened = False  # an incident
        self.ends_at = time.monotonic() + RUN_SECONDS
        self.parts: dict[str, Callable[[str], tuple[list[Found], str]]] = {
            "domain": self._domains,
            "customer": lambda after: self._rows(Kind.CUSTOMER, wishes.customers_after, after),
            "state": lambda after: self._rows(Kind.STATE, wishes.states_after, after),
        }

    def run(self, place: str) -> None:
        """Go on from a place "<part>:<key>" ("": from the beginning) to the end."""
        names = [*self.parts, ""]
        place = place or "domain:"
        while place:
            part, _, after = place.partition(":")
            found, after = self.parts[part](after)
            if found and not self._mend(found):
                break
            following = names[names.index(part) + 1]
            place = f"{part}:{after}" if after else following and f"{following}:"
            ServerSync.objects.filter(server=self.server).update(digest_after=place)
        else:
            self._compare_counts()
        self._finish()

    def _domains(self, after: str) -> tuple[list[Found], str]:
        """What differs in the next domains, and the last one of them."""
        with self._still() as point, ThreadPoolExecutor(1) as beside:
            keys, more = wishes.domains_after(self.server.pk, after, DOMAINS, MAILBOXES)
            asked = beside.submit(self._digests, after, len(keys) if more else DOMAINS)
            wished = {
                key: summary(entries) for key, entries in wishes.of_domains(self.server.pk, keys).items()
            }
            page = asked.result()
            expect(point, page.revision, page.mark)
        held = {domain.domain: (domain.count, domain.sha256) for domain in page.domains}
        ends = [keys[-1].hex] if more else []
        ends += [page.next] if page.next else []
        last = advanced(after, min(ends, default=""))
        nothing = summary([])
        suspects = {
            domain
            for domain in wished.keys() | held.keys()
            if (not last or domain <= last) and wished.get(domain, nothing) != held.get(domain, nothing)
        }
        found: dict[tuple[str, str], Found] = {}
        for domain in sorted(suspects):
            found |= {(row.kind, row.key): row for row in self._domain(domain)}
            if len(found) > MOST_MENDED:
                break
        return list(found.values()), last

    def _digests(self, after: str, limit: int) -> wire.Digests:
        """In a thread of its own; should the server's key have changed, it is read through a connection of its own."""
        try:
            return self.agent.digests(after, limit)
        finally:
            connection.close()

    def _domain(self, domain: str) -> Iterator[Found]:
        """What differs in one domain, row by row."""
        after: str | None = ""
        while after is not None:
            with self._still() as point:
                page = self.agent.digest(UUID(domain), after)
                expect(point, page.revision, page.mark)
                entries = wishes.of_domains(self.server.pk, [UUID(domain)])[domain]
                wished = {(kind, key): value for kind, key, value in entries}
                held = {(row.kind, row.key): row.hash for row in page.rows}
                found = differing(self.server, between(after, page.next, wished, held), point.revision)
            yield from found
            after = page.next and advanced(after, page.next)

    def _rows(
        self, kind: Kind, keys_after: Callable[[int, str, int], list[UUID]], after: str
    ) -> tuple[list[Found], str]:
        """What differs in the next rows of a kind, and the last one of them."""
        most, begin = wire.MAX_ROWS, f"{kind}:{after}"
        with self._still() as point:
            keys = keys_after(self.server.pk, after, most)
            page = self.agent.rows(begin, min(len(keys) + 1, most))
            expect(point, page.revision, page.mark)
            held = {(row.kind, row.key): hash_of(row) for row in page.rows if row.kind == kind}
            ends = [keys[-1].hex] if len(keys) == most else []
            ends += [page.rows[-1].key] if page.next and len(held) == len(page.rows) else []
            last = advanced(after, min(ends, default=""))
            wished = {(kind.value, key): value for key, value in wishes.of_keys(kind, keys).items()}
            end = f"{kind}:{last}" if last else None
            return differing(self.server, between(begin, end, wished, held), point.revision), last

    def _mend(self, found: list[Found]) -> bool:
        """Record what differs and send it again; false when everything has to be sent anew instead."""
        sync(self.server.pk)  # nobody waits for what may take a while
        self._record(found)
        self.mended += len(found)
        if self.mended > MOST_MENDED:
            want_rebuild(self.server, f"A digest found more than {MOST_MENDED} rows that differ.")
            return False
        placed = ServerRow.objects.filter(
            server=self.server, gone=False, key__in=[row.key for row in found]
        ).values_list("kind", "key")
        index = {(kind, key.hex) for kind, key in placed}
        gone = {row for row in found if row.what == SURPLUS and (row.kind, row.key) not in index}
        if any(self._has_moved(row) for row in found if row not in gone):
            want_rebuild(self.server, "A digest found a mailbox or domain under another name.")
            return False
        by_revision: dict[int, list[tuple[Row, bool]]] = defaultdict(list)
        for row in found:
            by_revision[row.compared].append((Row(row.kind, UUID(row.key)), row in gone))
        for revision, rows in by_revision.items():
            stamp_again(self.server.pk, rows, compared=revision)
        return True

    def _has_moved(self, row: Found) -> bool:
        """Whether the server holds the row with another value of what never changes, so that it would refuse it."""
        if row.kind not in NEVER_CHANGE:
            return False
        wished = read({row.kind: [UUID(row.key)]})[row.kind].get(UUID(row.key))
        page = self.agent.rows(f"{row.kind}:{row.key[:-1]}", 1)
        held = page.rows[0] if page.rows else None
        if wished is None or held is None or (held.kind, held.key) != (row.kind, row.key):
            return False
        return any((held.data or {}).get(name) != getattr(wished, name) for name in NEVER_CHANGE[row.kind])

    def _record(self, found: list[Found], text: str = "") -> None:
        """Add the rows, or a text, to the incident that is open, or to a new one."""
        kind, subject = IncidentKind.DIFFERENT, self.server.name
        earlier = Incident.objects.filter(kind=kind, subject=subject, closed_at=None).first()
        rows = {(entry[0], entry[1]): entry[2] for entry in (earlier.rows if earlier else [])}
        self.opened |= earlier is None
        count = earlier.count if earlier else 0
        count += sum((row.kind, row.key) not in rows for row in found)
        names = labels((row.kind, row.key) for row in found)
        rows |= {(row.kind, row.key): f"{names[row.kind, row.key]}: {row.what}" for row in found}
        text = text or (
            f"A digest found {count} rows on {subject} that were not as they should be. They are sent again."
        )
        entries = [[*key, what] for key, what in rows.items()]
        open_incident(kind, subject, text, server=self.server, rows=entries, count=count)

    def _still(self) -> AbstractContextManager[wire.Point]:
        """`still` for the next step, unless this run has taken long enough."""
        if time.monotonic() > self.ends_at:
            raise NotNow("it takes long, and goes on after others.")
        return still(self.server)

    def _compare_counts(self) -> None:
        """Look once more at how many rows of each kind there are: what no step could see would show here."""
        with self._still() as point:
            page = self.agent.digests("f" * 32, 1)
            expect(point, page.revision, page.mark)
            if MailServer.objects.get(pk=self.server.pk).revision != point.revision:
                return  # changed this very moment; the next digest looks again
            wished = wishes.counts(self.server.pk)
        if any(page.rows.get(kind, 0) != count for kind, count in wished.items()):
            text = (
                f"{self.server} holds {page.rows} rows by kind where it should hold {wished}. It is rebuilt."
            )
            self._record([], text)
            want_rebuild(self.server, "A digest counted other numbers of rows than there should be.")

    def _finish(self) -> None:
        """Note that this digest is complete. One that opened an incident is followed by another, once, which sees
        whether all is well again; an incident that a digest has not seen again is over.
        """
        kind, subject = IncidentKind.DIFFERENT, self.server.name
        if not Incident.objects.filter(
            kind=kind, subject=subject, closed_at=None, seen_at__gte=self.started
        ).exists():
            close_incident(kind, subject)
        now = timezone.now()
        mine = ServerSync.objects.filter(server=self.server, digest_wanted_at=self.started)
        mine.update(digest_at=now, digest_wanted_at=now if self.opened else None, digest_after="")


@contextmanager
def still(server: MailServer) -> Iterator[wire.Point]:
    """Hold the server's sync off, with nothing on its way, and look at one state of the database; gives the point at
    which the server has to be. Changes that are committed meanwhile are newer than that point, and are left out.
    """
    for _ in range(TRIES):
        if not owed().filter(server=server).exists():
            raise NotNow("it has failed, is halted, or is about to be rebuilt.")
        with alone(SYNC, server.pk) as mine:
            if mine and catch_up(server.pk, time.monotonic() + CATCHING_UP):
                with _snapshot():
                    state = owed().filter(server=server).first()
                    if state and state.effective == state.confirmed_revision:
                        yield confirmed(state)
                        return
        time.sleep(PAUSE)
    raise NotNow("something is always on its way.")


@contextmanager
def _snapshot() -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def advanced(after: str, last: str) -> str:
    """Where the next step begins; a server that leads back would be asked for ever."""
    if last and last <= after:
        raise NotNow("its pages do not go on.")
    return last


def expect(point: wire.Point, revision: int, mark: str) -> None:
    if point != wire.Point(revision=revision, mark=mark):
        raise NotNow(f"it is at revision {revision} and not at {point.revision}.")
