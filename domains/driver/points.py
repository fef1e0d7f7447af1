"""Points of a server's history: pairs of a revision and a random mark. A node that names a pair which the panel gave
it shares that history, and can be gone on from there; any other node is left alone.
"""

from datetime import timedelta
from secrets import token_hex

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from domains.models.server import MailServer, ServerMark, ServerSync
from mailnode import wire

# Longer than tombstones are kept (domains.driver.tombstones): a node from a copy that is older than these is told
# from a stranger, and rebuilt.
MARKS_KEPT = timedelta(days=180)
NOWHERE = wire.Point(revision=0, mark="")  # where a node is that was never told anything


class Halt(Exception):
    """The node is at a `point` that the panel never gave it; the message says what happened and what to do."""

    def __init__(self, server: MailServer, point: wire.Point) -> None:
        super().__init__(
            f"{server} is at revision {point.revision} with a mark that this panel never gave it: either "
            "the panel's database was restored from an older copy, or the server belongs to another panel. "
            "Nothing was changed or deleted. Look at what differs on the server's page in admin, and choose "
            "which of the two is right; or bring back the newer database or the server's own files, then let "
            "the sync go on."
        )
        self.point = point


def note(server: MailServer, **facts: object) -> None:
    """Keep these facts of the server's sync."""
    ServerSync.objects.filter(server=server).update(**facts)
    for name, value in facts.items():
        setattr(server.sync, name, value)


def confirmed(state: ServerSync) -> wire.Point:
    return wire.Point(revision=state.confirmed_revision, mark=state.confirmed_mark)


def pending(state: ServerSync) -> wire.Point | None:
    if state.pending_revision is None:
        return None
    return wire.Point(revision=state.pending_revision, mark=state.pending_mark)


def mark_for(revision: int, given: wire.Point | None) -> str:
    """The mark for this revision: that of the pair `given` already, so that an outage leaves one pair and not one for
    each attempt; otherwise a new one.
    """
    return given.mark if given and given.revision == revision else token_hex(16)


def give(server: MailServer, point: wire.Point) -> None:
    """Commit the pair as pending before it is sent: whatever becomes of the answer, it is known afterwards."""
    if point == pending(server.sync):
        return
    with transaction.atomic():
        ServerMark.objects.create(server=server, revision=point.revision, mark=point.mark)
        note(server, pending_revision=point.revision, pending_mark=point.mark)


def go_on_from(server: MailServer, point: wire.Point) -> None:
    """The node is elsewhere than thought: take its point as confirmed where the panel gave it; Halt otherwise. A node
    that was never told anything has lost nothing that the panel does not have.
    """
    given = ServerMark.objects.filter(server=server, revision=point.revision, mark=point.mark)
    if point != NOWHERE and not given.exists():
        raise Halt(server, point)
    note(
        server,
        confirmed_revision=point.revision,
        confirmed_mark=point.mark,
        pending_revision=None,
        pending_mark="",
        effective=min(server.sync.effective, point.revision),
        contact_at=timezone.now(),
    )


def forget_old_marks() -> None:
    """Forget pairs given more than MARKS_KEPT ago, but never the confirmed one, nor one that is pending."""
    old = ServerMark.objects.filter(given_at__lt=timezone.now() - MARKS_KEPT)
    in_use = Q(server__sync__pending_mark=F("mark"))
    old.exclude(in_use | Q(revision=F("server__sync__confirmed_revision"))).delete()
