"""Taking into the panel all that a server of lost history has, once staff have decided that the server is right: in
chunks, each of which commits the changes with a note on what is done, so that a killed one goes on where it was.

First goes what the server does not have, then comes what it has, in the order of kinds. What could not be taken is sent
to the server at the end as it stands here, so that both are equal afterwards.
"""

import logging
from collections.abc import Collection
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from domains.driver import hints
from domains.driver.agent import Agent, AgentError
from domains.driver.alone import SYNC, alone
from domains.driver.history import Moved, contents_of, expect_at, rows_of
from domains.driver.points import note
from domains.driver.prospects import NO_DOMAIN, Held, Rows, Side
from domains.driver.stamping import Row, stamp_again
from domains.driver.taking import Taker
from domains.driver.verdict import adopt
from domains.models import Difference, Kind, MailServer, ServerRow, ServerSync
from foundation.unit_of_work import unit_of_work
from mailnode import wire

logger = logging.getLogger(__name__)

CHUNK = 200  # rows in one transaction
# The order in which things come, and whether they may wait for another. DKIM keys are looked at first, so that a domain
# that is added gets its own, and once more when all domains are here.
COMING = [
    (Kind.CUSTOMER, False),
    (Kind.DKIM, True),
    (Kind.DOMAIN, False),
    (Kind.DKIM, False),
    (Kind.MAILBOX, False),
    (Kind.STATE, False),
]
GOING = [Kind.STATE, Kind.MAILBOX, Kind.DOMAIN, Kind.DKIM, Kind.CUSTOMER]  # the order in which things go
CHANGED_SINCE = "it was changed here after the comparison"
NOT_SHOWN = "the server does not show it any more"
CLASHES = "another one of the same name is here"


def under_way() -> QuerySet[ServerSync]:
    return ServerSync.objects.exclude(taking_since=None)


def take_over(server_id: int) -> None:
    """Go on with a takeover that staff decided, unless another process is at it, to its end."""
    hints.taken(server_id, hints.TAKE_OVER)
    with alone(SYNC, server_id) as mine:
        found = under_way().select_related("server__sync", "taking_by").filter(server=server_id)
        state = found.first() if mine else None
        if state is None:
            return
        try:
            Takeover(state).run()
        except AgentError as error:
            logger.warning("The takeover of mail server %s waits: %s", state.server, error)
            note(state.server, compare_failure=str(error)[:1000])
            return
        except Moved as moved:
            note(state.server, taking_since=None, compared_at=None, compare_failure=str(moved)[:1000])
            return
    hints.hint(server_id)


class Takeover:
    def __init__(self, state: ServerSync) -> None:
        self.server: MailServer = state.server
        self.agent = Agent(self.server)
        self.taker = Taker(self.server, state.taking_by)
        self.point = wire.Point(revision=state.compared_node_revision or 0, mark=state.compared_node_mark)
        self.compared = state.compared_revision or 0

    def run(self) -> None:
        note(self.server, compare_failure="")
        for kind in GOING:
            self._go(kind)
        for kind, may_wait in COMING:
            self._come(kind, may_wait)
        self._finish()

    def _pending(self) -> QuerySet[Difference]:
        return Difference.objects.filter(server=self.server, taken_at=None, refused="")

    def _go(self, kind: Kind) -> None:
        """Drop what the server does not have."""
        while chunk := list(self._pending().filter(kind=kind, node="").order_by("key")[:CHUNK]):
            self._settle_all(dict.fromkeys(chunk), may_wait=False)

    def _come(self, kind: Kind, may_wait: bool) -> None:
        """Take what the server has of a kind, page by page."""
        left = self._pending().filter(kind=kind).exclude(node="").order_by("key")
        after: UUID | None = None
        while chunk := list((left.filter(key__gt=after) if after else left)[:CHUNK]):
            held = self._held(kind, chunk[0].key)
            shown = [held.get((each.kind, each.key.hex)) for each in chunk]
            on_this_page = max((number for number, row in enumerate(shown, 1) if row is not None), default=1)
            self._settle_all(dict(zip(chunk[:on_this_page], shown, strict=False)), may_wait)
            after = chunk[on_this_page - 1].key

    def _held(self, kind: Kind, first: UUID) -> Held:
        """What the server has from this row on."""
        page = self.agent.rows(f"{kind}:{first.hex[:-1]}")
        expect_at(self.server, self.point, page)
        return rows_of(page)

    def _settle_all(self, chunk: dict[Difference, Side], may_wait: bool) -> None:
        """Settle these rows in one transaction. One that waits for its domain stays pending."""
        with unit_of_work():
            present = Present(self, chunk)
            self.taker.look_up({each.key: held for each, held in chunk.items()})
            done = []
            for difference, held in chunk.items():
                why = self._settle(difference, held, present)
                if why:
                    Difference.objects.filter(pk=difference.pk).update(refused=why[:300])
                elif why is not None:
                    done.append(difference.pk)
                elif not may_wait:
                    Difference.objects.filter(pk=difference.pk).update(refused=NO_DOMAIN)
            Difference.objects.filter(pk__in=done).update(taken_at=timezone.now())

    def _settle(self, difference: Difference, held: Side, present: "Present") -> str | None:
        """Take or drop one row; returns why it cannot be, "" when it is done, None when it waits for its domain."""
        if present.rows.get((difference.kind, difference.key.hex)) == held:
            return ""
        if difference.key in present.changed:
            return CHANGED_SINCE
        if difference.node and held is None:
            return NOT_SHOWN
        try:
            with transaction.atomic():
                return "" if self._make_so(difference, held) else None
        except ValidationError as error:
            return " ".join(error.messages)
        except IntegrityError:
            return CLASHES

    def _make_so(self, difference: Difference, held: Side) -> bool:
        if difference.node:
            return self.taker.take(difference.key, held)
        self.taker.drop(difference.kind, difference.key)
        return True

    def _finish(self) -> None:
        """Send what was refused as it stands here, and let the sync go on from where the server is."""
        self._pending().update(refused=NOT_SHOWN)  # none, unless the server shows other rows than it did
        differences = Difference.objects.filter(server=self.server)
        refused = list(differences.exclude(refused="").order_by("pk").values_list("kind", "key"))
        index = ServerRow.objects.filter(server=self.server, gone=False)
        for start in range(0, len(refused), wire.MAX_ROWS):
            chunk = refused[start : start + wire.MAX_ROWS]
            # What is stamped after this look is on its way already, and may be gone or back.
            now = MailServer.objects.values_list("revision", flat=True).get(pk=self.server.pk)
            wished = set(index.filter(key__in=[key for _, key in chunk]).values_list("kind", "key"))
            rows = [(Row(kind, key), (kind, key) not in wished) for kind, key in chunk]
            stamp_again(self.server.pk, rows, compared=now)
        status = self.agent.status()
        expect_at(self.server, self.point, status)
        with unit_of_work():
            adopt(self.server, self.point, min(status.effective, self.point.revision))
            after = {"taken": differences.filter(refused="").count(), "refused": len(refused)}
            audit.record("history.taken", by=self.taker.by, subject=self.server.name, after=after)


class Present:
    """What the server should hold now of the rows of a chunk, and which of them changed here after the comparison."""

    def __init__(self, takeover: Takeover, chunk: Collection[Difference]) -> None:
        index = ServerRow.objects.filter(server=takeover.server, key__in=[each.key for each in chunk])
        self.rows: Rows = contents_of(list(index.filter(gone=False).values_list("kind", "key")))
        later = index.filter(revision__gt=takeover.compared)
        self.changed = set(later.values_list("key", flat=True))
