"""Filling a mail server anew from nothing: everything it should hold, walked in one snapshot, staged there page by
page, and swapped in with the last of them. Until then it serves its present rows.

The lock SYNC is held throughout, so changes wait here and follow as ordinary pages. A rebuild that is cut off anywhere
is still owed, and begins again; the server then forgets what it staged of the other.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from uuid import uuid4

from django.conf import settings
from django.utils import timezone

from domains.driver import hints, watching
from domains.driver.agent import Agent, AgentError
from domains.driver.alone import REBUILD, SYNC, alone, one_of
from domains.driver.outcomes import attempt, recovered
from domains.driver.points import confirmed, give, go_on_from, mark_for, note
from domains.driver.reading_ahead import read_ahead
from domains.driver.walking import Part, walk
from domains.models import MailServer, ServerSync
from mailnode import wire

# A server that answers slowly draws a rebuild out; the other threads of the slow queue are for those that are back.
AT_ONCE = 2
PATIENCE = 30.0  # seconds for which a page is sent again, while the agent starts anew or the line is away
RESEND_PAUSE = 0.5  # seconds
PROGRESS_EVERY = 0.5  # seconds


def rebuild(server_id: int) -> None:
    """Rebuild a server that is owed it, unless another process speaks to it, or AT_ONCE others are being rebuilt; how
    that ends is noted.
    """
    with one_of(AT_ONCE, REBUILD) as is_turn, alone(SYNC, server_id) as mine:
        if not (is_turn and mine):
            return
        hints.taken(server_id, hints.REBUILD)
        owed = MailServer.objects.rebuild_owed().due().select_related("sync")
        server = owed.filter(pk=server_id).first()
        is_done = server is not None and attempt(server, partial(_rebuild, server))
    if is_done:
        hints.hint(server_id)


def _rebuild(server: MailServer) -> None:
    began_at = timezone.now()
    note(server, rebuild_started_at=began_at, rebuild_rows=0, rebuild_total=0)
    _must_share_history(server)
    with closing(read_ahead(partial(walk, server.pk))) as parts:
        page, applied = _send_all(server, parts)
    if applied.revision != page.revision:
        raise AgentError(
            f"The server is at {applied.revision} after a rebuild to {page.revision}.", retry=True
        )
    _confirm(server, page, applied, began_at)


def _must_share_history(server: MailServer) -> None:
    """A rebuild replaces everything: Halt where the server is at a point that the panel never gave it."""
    status = watching.pull_status(server, deadline=settings.AGENT_FAST_DEADLINE)
    point = wire.Point(revision=status.revision, mark=status.mark)
    if point != confirmed(server.sync):
        go_on_from(server, point)


def _send_all(server: MailServer, parts: Iterator[Part]) -> tuple[wire.Rebuild, wire.Applied]:
    """Send every page; the last one and its answer. The pair that it leads to is given before the first."""
    agent, progress, rebuild, mark = Agent(server), _Progress(server), uuid4().hex, ""
    for seq, part in enumerate(parts):
        if seq == 0:
            mark = mark_for(part.revision, None)
            give(server, wire.Point(revision=part.revision, mark=mark))
        page = wire.Rebuild(
            wire=server.sync.wire, rebuild=rebuild, revision=part.revision, mark=mark, seq=seq, rows=part.rows,
            last=part.last,
        )  # fmt: skip
        applied = _send(agent, page)
        progress.add(len(part.rows), part.total)
    return page, applied


def _send(agent: Agent, page: wire.Rebuild) -> wire.Applied:
    """Send one page, again and again for a while: the server tells by its number whether it has it already."""
    gives_up_at = time.monotonic() + PATIENCE
    while True:
        try:
            answer = agent.rebuild(page)
        except AgentError as error:
            if not error.retry or time.monotonic() > gives_up_at:
                raise
            time.sleep(RESEND_PAUSE)
            continue
        if isinstance(answer, wire.Applied):
            return answer
        raise AgentError("The server has lost the beginning of the rebuild; it begins again.", retry=True)


def _confirm(server: MailServer, page: wire.Rebuild, applied: wire.Applied, began_at: datetime) -> None:
    """Note that the server holds everything up to the page's revision; a rebuild wished meanwhile is still owed."""
    now = timezone.now()
    note(
        server,
        confirmed_revision=page.revision,
        confirmed_mark=page.mark,
        pending_revision=None,
        pending_mark="",
        effective=min(applied.effective, page.revision),
        contact_at=now,
        rebuilt_at=now,
        rebuild_rows=server.sync.rebuild_total,
        **recovered(server),
    )
    done = ServerSync.objects.filter(server=server, rebuild_wanted_at__lte=began_at)
    done.update(rebuild_wanted_at=None, rebuild_reason="")


class _Progress:
    """How many rows are sent, noted now and then."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._rows = 0
        self._noted_at = 0.0

    def add(self, rows: int, total: int) -> None:
        self._rows += rows
        if time.monotonic() - self._noted_at > PROGRESS_EVERY:
            self._noted_at = time.monotonic()
            note(self._server, rebuild_rows=self._rows, rebuild_total=total, contact_at=timezone.now())
