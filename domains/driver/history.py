"""After lost history: a server is at a point that this panel never gave it, so one of the two has forgotten something.
Both are compared row by row, and staff choose which of them is right. Nothing happens by itself, and nothing before.
"""

import logging
import time
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import User
from domains.driver import hints
from domains.driver.agent import Agent, AgentError
from domains.driver.alone import SYNC, alone
from domains.driver.labels import labels
from domains.driver.points import note
from domains.driver.prospects import BROKEN, Broken, Held, Key, Prospects, Rows, Side, in_words, on_the_server
from domains.driver.rows import read
from domains.models import Difference, MailServer, ServerRow, ServerSync
from foundation.unit_of_work import unit_of_work
from mailnode import wire

logger = logging.getLogger(__name__)

STEP = wire.MAX_ROWS
MOST_SECONDS = 900.0  # of one comparison
MOST_ROWS = (
    4_000_000  # of one comparison: more than a server can have, so that a lying one fills no disk here
)


class Conflict(Exception):
    """What was decided about is not so any more; the message says what is to be done now."""


class Endless(Exception):
    """The server shows more rows than any has; the message says what to do."""


class Moved(Exception):
    """The server is not where it was when it was halted; the message says where."""


def halted() -> QuerySet[ServerSync]:
    """Servers that are halted at a point which this panel never gave them."""
    return ServerSync.objects.exclude(halted_at=None).exclude(halted_revision=None)


def uncompared() -> QuerySet[ServerSync]:
    """Those whose comparison is owed, or of another point than the one where they are."""
    same = Q(compared_node_revision=F("halted_revision"), compared_node_mark=F("halted_mark"))
    return halted().filter(taking_since=None).exclude(same, compared_at__isnull=False)


def token(state: ServerSync) -> str:
    """What names the comparison that a decision is about."""
    return f"{state.compared_revision}-{state.compared_node_revision}-{state.compared_node_mark}"


def compare(server_id: int) -> None:
    """Compare all rows of a halted server with what it should hold, unless that is done, or being done."""
    hints.taken(server_id, hints.COMPARE)
    with alone(SYNC, server_id) as mine:
        owed = (
            uncompared().select_related("server__sync").filter(server=server_id, compared_rows__lte=MOST_ROWS)
        )
        state = owed.first() if mine else None
        if state is None:
            return
        try:
            Comparison(state.server).run()
        except Endless as error:
            logger.error("Mail server %s is not compared: %s", state.server, error)
            Difference.objects.filter(server=state.server).delete()
            note(state.server, compare_failure=str(error)[:1000])
        except (AgentError, Moved) as error:
            logger.warning("Mail server %s is not compared: %s", state.server, error)
            note(state.server, compare_failure=str(error)[:1000])


def compare_again(server: MailServer, *, by: User) -> bool:
    """Forget the comparison and have it made anew; false when it is being made, or nothing is to be compared."""
    with unit_of_work():
        asked = halted().filter(server=server, taking_since=None).exclude(compared_at=None)
        is_new = bool(asked.update(compared_at=None))
        if is_new:
            audit.record("history.compare", by=by, subject=server.name)
    return is_new


def forget() -> None:
    """Forget what differed on servers about which nothing is to be decided any more, but for what was not taken."""
    open_ones = Q(server__sync__in=halted()) | Q(server__sync__taking_since__isnull=False)
    Difference.objects.filter(refused="").exclude(open_ones).delete()


class Comparison:
    """One walk through all rows of both sides, in the order of kind and key."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self.agent = Agent(server)
        self.prospects = Prospects(server)
        self.names: dict[str, str] = {}  # of domains that the server holds, by id
        self.point = wire.Point(revision=server.sync.halted_revision or 0, mark=server.sync.halted_mark)

    def run(self) -> None:
        """Compare from the beginning. Rows that change here meanwhile are newer than the revision that it notes first."""
        revision = MailServer.objects.values_list("revision", flat=True).get(pk=self.server.pk)
        Difference.objects.filter(server=self.server).delete()
        note(self.server, compared_at=None, compared_rows=0, compare_failure="")
        after: str | None = ""
        ends_at = time.monotonic() + MOST_SECONDS
        while after is not None:
            if time.monotonic() > ends_at:
                raise AgentError(
                    f"{self.server} is too slow: it was not compared within 15 minutes.", retry=True
                )
            after = self._step(after)
        self._name_keys()
        note(
            self.server,
            compared_at=timezone.now(),
            compared_revision=revision,
            compared_node_revision=self.point.revision,
            compared_node_mark=self.point.mark,
        )

    def _step(self, after: str) -> str | None:
        """Compare the next rows; returns the last place that was compared, None at the end."""
        page = self.agent.rows(after, STEP)
        expect_at(self.server, self.point, page)
        index = wished_after(self.server, after, STEP)
        ends = [f"{index[-1][0]}:{index[-1][1].hex}"] if len(index) == STEP else []
        ends += [page.next] if page.next else []
        last = min(ends, default=None)
        if last is not None and last <= after:
            raise Moved(f"{self.server} gives pages of rows that do not go on.")
        held = {key: data for key, data in rows_of(page).items() if _between(after, key, last)}
        wished = contents_of([(kind, key) for kind, key in index if _between(after, (kind, key.hex), last)])
        self._keep(held, wished)
        note(self.server, compared_rows=self.server.sync.compared_rows + len(held.keys() | wished.keys()))
        if self.server.sync.compared_rows > MOST_ROWS:
            raise Endless(
                f"{self.server} shows more than {MOST_ROWS:,} rows, which no server has, so it is not compared any "
                "more. It is broken into or mixed up with another: look at it, then let the sync go on."
            )
        return last

    def _keep(self, held: Held, wished: Rows) -> None:
        """Note what differs."""
        self.names |= {key: row.name for (_, key), row in held.items() if isinstance(row, wire.Domain)}
        keys = sorted(key for key in held.keys() | wished.keys() if held.get(key) != wished.get(key))
        outcomes = self.prospects.of(held, wished, keys)
        names = labels(keys)
        Difference.objects.bulk_create(
            Difference(
                server=self.server,
                kind=key[0],
                key=UUID(key[1]),
                label=self._label(key, held.get(key), names[key])[:400],
                node=in_words(held.get(key), wished.get(key))[:500],
                panel=in_words(wished.get(key), held.get(key))[:500],
                node_right=outcomes[key],
                panel_right=on_the_server(held.get(key), wished.get(key)),
            )
            for key in keys
        )

    def _label(self, key: Key, held: Side, name: str) -> str:
        """The panel's own name of the row, or the one that the server's row gives it."""
        if name != key[1]:
            return name
        match held:
            case wire.Customer():
                return held.username
            case wire.Domain():
                return held.name
            case wire.Mailbox():
                return f"{held.local_part}@{self._domain(held.domain)}"
            case wire.Dkim():
                return f"{held.selector}._domainkey.{self._domain(held.domain)}"
            case wire.State():
                subject = labels([(held.subject_kind, held.subject)])
                return f"suspension of {subject[held.subject_kind, held.subject]}"
        return name

    def _domain(self, domain: str) -> str:
        return self.names.get(domain) or labels([("domain", domain)])["domain", domain]

    def _name_keys(self) -> None:
        """DKIM keys come before their domains; those of domains that are not here get their names at last."""
        found = Difference.objects.filter(server=self.server, kind="dkim", panel="")
        for each in found.iterator(chunk_size=STEP):
            selector, _, domain = each.label.partition("._domainkey.")
            if domain in self.names:
                label = f"{selector}._domainkey.{self.names[domain]}"
                Difference.objects.filter(pk=each.pk).update(label=label[:400])


def expect_at(server: MailServer, point: wire.Point, page: wire.RowPage | wire.Status) -> None:
    """Moved when an answer is of another point; where that is one that the panel gave, the sync can simply go on."""
    if point == wire.Point(revision=page.revision, mark=page.mark):
        return
    note(server, halted_revision=page.revision, halted_mark=page.mark)
    text = f"{server} has moved to revision {page.revision} meanwhile, so it is compared again."
    if server.marks.filter(revision=page.revision, mark=page.mark).exists():
        text = f"{server} is at revision {page.revision} now, which this panel knows. Let the sync go on."
    raise Moved(text)


def rows_of(page: wire.RowPage) -> Held:
    """The rows of a page by kind and key, BROKEN for what breaks the wire's bounds; without kinds that are not known."""
    return {(row.kind, row.key): _data(row) for row in page.rows if row.kind in wire.KINDS}


def _data(row: wire.Row) -> wire.Data | Broken:
    try:
        return wire.data_of(row) or BROKEN
    except wire.WireError:
        return BROKEN


def wished_after(server: MailServer, after: str, most: int) -> list[tuple[str, UUID]]:
    """The next rows that the server should hold, in the order of kind and key."""
    found = ServerRow.objects.filter(server=server, gone=False)
    if after:
        kind, _, key = after.partition(":")
        found = found.filter(Q(kind__gt=kind) | Q(kind=kind, key__gt=UUID(key)))
    return list(found.order_by("kind", "key").values_list("kind", "key")[:most])


def contents_of(rows: list[tuple[str, UUID]]) -> Rows:
    keys: dict[str, list[UUID]] = {}
    for kind, key in rows:
        keys.setdefault(kind, []).append(key)
    return {(kind, key.hex): data for kind, found in read(keys).items() for key, data in found.items()}


def _place(key: Key) -> str:
    return f"{key[0]}:{key[1]}"


def _between(after: str, key: Key, last: str | None) -> bool:
    return after < _place(key) and (last is None or _place(key) <= last)
