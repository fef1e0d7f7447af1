"""Bringing a mail server to its revision: one sync of a server at a time, page by page, from wherever it
is.
"""

import logging
import time
from datetime import timedelta
from secrets import token_hex

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from domains.driver.agent import Agent, AgentError
from domains.driver.alone import SYNC, alone
from domains.driver.hints import taken
from domains.driver.rows import contents
from domains.models.server import MailServer, ServerMark, ServerRow, ServerSync
from mailnode import wire

logger = logging.getLogger(__name__)

MARKS_KEPT = timedelta(days=90)
EFFECTIVE_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds; what takes longer is asked for by the next sweep
# Where a second small page follows at once, changes are streaming in. Pages of a stream wait for each other a
# little, so that they are few and carry more; a single change never waits.
STREAM_PAUSE = 0.05  # seconds
STREAM_ROWS = 200
RUN_SECONDS = (
    30  # after which (and a call's deadline) the next sweep goes on: no server keeps a worker for ever
)
CONFLICTS_AT_MOST = 3  # in one run; a node that moves under us again and again is left to the next sweep


class Halt(Exception):
    """The server's history is not one that the panel knows; the message says what happened and what to do."""


def sync(server_id: int) -> None:
    """Send what the server lacks until it lacks nothing, fails, or another process is at it.

    Whoever finds another at it leaves the hint's note standing, so that a stream of changes does not become
    a stream of tasks. The other therefore takes the note and looks at the counter once more after it has let
    go of the lock: a change that was committed meanwhile would wait for the sweep otherwise.
    """
    go_on, ends_at = True, time.monotonic() + RUN_SECONDS
    while go_on and time.monotonic() < ends_at:
        with alone(SYNC, server_id) as mine:
            go_on = mine and _catch_up(server_id, ends_at)
        if go_on:
            taken(server_id)
            go_on = MailServer.objects.behind().filter(pk=server_id).exists()


def forget_old_marks() -> None:
    """Forget pairs given more than MARKS_KEPT ago, but never the confirmed one, nor one that is pending."""
    old = ServerMark.objects.filter(given_at__lt=timezone.now() - MARKS_KEPT)
    pending = Q(server__sync__pending_mark=F("mark"))
    old.exclude(pending | Q(revision=F("server__sync__confirmed_revision"))).delete()


def next_page(server_id: int, base: wire.Point, pending: wire.Point | None = None) -> wire.Changes | None:
    """What follows `base`, at most MAX_ROWS rows and no revision split; None when there is nothing.

    Read in one REPEATABLE READ snapshot: a row is never newer than the revision that the page claims. A page that
    leads to the `pending` revision keeps its mark, so that an outage leaves one pair and not one for each attempt.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        revision = MailServer.objects.values_list("revision", flat=True).get(pk=server_id)
        if revision <= base.revision:
            return None
        after = ServerRow.objects.filter(server=server_id, revision__gt=base.revision).order_by("revision")
        rows = list(after.values_list("revision", "kind", "key")[: wire.MAX_ROWS + 1])
        if len(rows) > wire.MAX_ROWS:
            beyond = rows[-1][0]
            rows = [row for row in rows if row[0] < beyond]
            revision = rows[-1][0]
        wired = contents((kind, key) for _, kind, key in rows)
    mark = pending.mark if pending and pending.revision == revision else token_hex(16)
    return wire.Changes(wire=wire.WIRE, base=base, revision=revision, mark=mark, rows=wired)


def _catch_up(server_id: int, ends_at: float) -> bool:
    """Send page after page, until `ends_at`; false when the server failed or was halted, which is noted."""
    taken(server_id)
    server = MailServer.objects.behind().select_related("sync").filter(pk=server_id).first()
    if server is None:
        return True
    try:
        _send_all(server, Agent(server), ends_at)
    except AgentError as error:
        logger.warning("Mail server %s: %s", server, error)
        _note(server, failed_at=timezone.now(), failure=str(error)[:1000])
        return False
    except Halt as halt:
        logger.error("Sync of mail server %s is halted: %s", server, halt)
        _note(server, halted_at=timezone.now(), halted_reason=str(halt)[:1000])
        return False
    return True


def _send_all(server: MailServer, agent: Agent, ends_at: float) -> None:
    sent = conflicts = 0
    while page := next_page(server.pk, _confirmed(server.sync), _pending(server.sync)):
        if time.monotonic() > ends_at:
            return
        _give_mark(server, page)
        answer = agent.changes(page)
        if isinstance(answer, wire.Applied):
            _confirm(server, page, answer)
            sent += 1
            if sent > 1 and len(page.rows) < STREAM_ROWS:
                time.sleep(STREAM_PAUSE)
            taken(server.pk)
            continue
        conflicts += 1
        if conflicts > CONFLICTS_AT_MOST:
            raise AgentError("The server was at another revision each time.", retry=True)
        _go_on_from(server, answer)
    if server.sync.effective < server.sync.confirmed_revision:
        _ask_effective(server, agent, ends_at)


def _give_mark(server: MailServer, page: wire.Changes) -> None:
    """Commit the page's pair before it is sent: whatever becomes of the answer, the pair is known
    afterwards.
    """
    if page.mark == server.sync.pending_mark:
        return
    with transaction.atomic():
        ServerMark.objects.create(server=server, revision=page.revision, mark=page.mark)
        _note(server, pending_revision=page.revision, pending_mark=page.mark)


def _confirm(server: MailServer, page: wire.Changes, applied: wire.Applied) -> None:
    if applied.revision != page.revision:
        raise AgentError(f"The server applied {applied.revision} where {page.revision} was sent.", retry=True)
    _note(
        server,
        confirmed_revision=page.revision,
        confirmed_mark=page.mark,
        pending_revision=None,
        pending_mark="",
        effective=min(applied.effective, page.revision),
        contact_at=timezone.now(),
        failed_at=None,
        failure="",
    )


def _go_on_from(server: MailServer, point: wire.Point) -> None:
    """The node is elsewhere than thought: take its point as confirmed where the panel gave it, halt
    otherwise.
    """
    if not _is_known(server, point):
        raise Halt(_halted_reason(server, point))
    _note(
        server,
        confirmed_revision=point.revision,
        confirmed_mark=point.mark,
        pending_revision=None,
        pending_mark="",
        effective=min(server.sync.effective, point.revision),
        contact_at=timezone.now(),
    )


def _is_known(server: MailServer, point: wire.Point) -> bool:
    """Whether the panel gave the server this pair (confirmed, pending, or remembered) and can go on from
    there.

    A node with no history at all may only be filled by one whole page: it would begin to turn mail away for
    whatever a first of several pages does not name. More than that is a rebuild.
    """
    if point == wire.Point(revision=0, mark=""):
        return server.floor == 0 and ServerRow.objects.filter(server=server).count() <= wire.MAX_ROWS
    given = ServerMark.objects.filter(server=server, revision=point.revision, mark=point.mark)
    return point.revision >= server.floor and given.exists()


def _halted_reason(server: MailServer, point: wire.Point) -> str:
    if point.revision == 0:
        return (
            f"{server} holds no rows any more, and this panel has too many to send them as one page. "
            "Nothing was changed. Bring back the server's own files from a copy, then let the sync go on."
        )
    return (
        f"{server} is at revision {point.revision} with a mark that this panel never gave it: either "
        "the panel's database was restored from an older copy, or the server belongs to another panel. "
        "Nothing was changed or deleted. Bring back the newer database or the server's own files, then let "
        "the sync go on."
    )


def _ask_effective(server: MailServer, agent: Agent, ends_at: float) -> None:
    """All is sent and not all has come about: ask how far it is, for a moment."""
    for pause in EFFECTIVE_PAUSES:
        if time.monotonic() > ends_at:
            return
        time.sleep(pause)
        status = agent.status()
        point = wire.Point(revision=status.revision, mark=status.mark)
        if point != _confirmed(server.sync):
            _go_on_from(server, point)
        _note(
            server, effective=min(status.effective, server.sync.confirmed_revision), contact_at=timezone.now()
        )
        if server.sync.effective == server.sync.confirmed_revision:
            return
    raise AgentError(status.lag_error or "Some of what was sent has not come about yet.", retry=True)


def _confirmed(state: ServerSync) -> wire.Point:
    return wire.Point(revision=state.confirmed_revision, mark=state.confirmed_mark)


def _pending(state: ServerSync) -> wire.Point | None:
    if state.pending_revision is None:
        return None
    return wire.Point(revision=state.pending_revision, mark=state.pending_mark)


def _note(server: MailServer, **facts: object) -> None:
    ServerSync.objects.filter(server=server).update(**facts)
    for name, value in facts.items():
        setattr(server.sync, name, value)
