"""Bringing a mail server to its revision: one sync of a server at a time, page by page, from wherever it
is.
"""

import time
from functools import partial

from django.conf import settings
from django.utils import timezone

from domains.driver.agent import Agent, AgentError
from domains.driver.alone import SYNC, alone
from domains.driver.hints import taken
from domains.driver.outcomes import attempt, recovered
from domains.driver.pages import next_page
from domains.driver.points import confirmed, give, go_on_from, note, pending
from domains.models.server import MailServer, ServerQuerySet
from mailnode import wire

EFFECTIVE_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds; what takes longer is asked for by the next sweep
# Where a second small page follows at once, changes are streaming in. Pages of a stream wait for each other a
# little, so that they are few and carry more; a single change never waits.
STREAM_PAUSE = 0.05  # seconds
STREAM_ROWS = 200
RUN_SECONDS = (
    30  # after which (and a call's deadline) the next sweep goes on: no server keeps a worker for ever
)
CONFLICTS_AT_MOST = 3  # in one run; a node that moves under us again and again is left to the next sweep


def sync(server_id: int, *, fast: bool = False) -> None:
    """Send what the server lacks until it lacks nothing, fails, or another process is at it. `fast`: with short
    deadlines, and not to a server whose last call failed: it would hold up the others.

    Whoever finds another at it leaves the hint's note standing, so that a stream of changes does not become
    a stream of tasks. The other therefore takes the note and looks at the counter once more after it has let
    go of the lock: a change that was committed meanwhile would wait for the sweep otherwise.
    """
    go_on, ends_at = True, time.monotonic() + RUN_SECONDS
    while go_on and time.monotonic() < ends_at:
        with alone(SYNC, server_id) as mine:
            go_on = mine and catch_up(server_id, ends_at, fast=fast)
        if go_on:
            taken(server_id)
            go_on = _waiting(fast).filter(pk=server_id).exists()


def catch_up(server_id: int, ends_at: float, *, fast: bool = False) -> bool:
    """Send page after page, until `ends_at` (monotonic); false when the server failed, was halted or needs a rebuild,
    which is noted. For whoever holds the lock SYNC.
    """
    taken(server_id)
    server = _waiting(fast).select_related("sync").filter(pk=server_id).first()
    if server is None:
        return True
    agent = Agent(server, deadline=settings.AGENT_FAST_DEADLINE if fast else settings.AGENT_DEADLINE)
    return attempt(server, partial(_send_all, server, agent, ends_at))


def _waiting(fast: bool) -> ServerQuerySet:
    return MailServer.objects.behind().well() if fast else MailServer.objects.behind()


def _send_all(server: MailServer, agent: Agent, ends_at: float) -> None:
    sent = conflicts = 0
    while page := next_page(server.pk, confirmed(server.sync), pending(server.sync), server.sync.wire):
        if time.monotonic() > ends_at:
            return
        give(server, wire.Point(revision=page.revision, mark=page.mark))
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
        go_on_from(server, answer)
    if server.sync.effective < server.sync.confirmed_revision:
        _ask_effective(server, agent, ends_at)


def _confirm(server: MailServer, page: wire.Changes, applied: wire.Applied) -> None:
    if applied.revision != page.revision:
        raise AgentError(f"The server applied {applied.revision} where {page.revision} was sent.", retry=True)
    note(
        server,
        confirmed_revision=page.revision,
        confirmed_mark=page.mark,
        pending_revision=None,
        pending_mark="",
        effective=min(applied.effective, page.revision),
        contact_at=timezone.now(),
        **recovered(server),
    )


def _ask_effective(server: MailServer, agent: Agent, ends_at: float) -> None:
    """All is sent and not all has come about: ask how far it is, for a moment."""
    for pause in EFFECTIVE_PAUSES:
        if time.monotonic() > ends_at:
            return
        time.sleep(pause)
        status = agent.status()
        point = wire.Point(revision=status.revision, mark=status.mark)
        if point != confirmed(server.sync):
            go_on_from(server, point)
        effective = min(status.effective, server.sync.confirmed_revision)
        note(server, effective=effective, contact_at=timezone.now())
        if effective == server.sync.confirmed_revision:
            note(server, **recovered(server))
            return
    raise AgentError(status.lag_error or "Some of what was sent has not come about yet.", retry=True)
