"""What staff decide about a server of lost history: the panel is right, or the server is. Bound to the comparison that
they saw, and done once.
"""

from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from accounts import audit
from accounts.models import User
from domains.driver.history import Conflict, halted, token, uncompared
from domains.models import IncidentKind, MailServer, ServerMark, ServerSync
from domains.models.incident import close_incident
from foundation.unit_of_work import unit_of_work
from mailnode import wire

# Beyond it a server is never by itself; a counter above it would soon be none that the wire carries (2**53).
HIGHEST = 2**52
REBUILD_REASON = "Staff decided that this panel is right, after history was lost."


def panel_is_right(server: MailServer, comparison: str, *, by: User) -> None:
    """Have the server filled anew with what stands here; Conflict when the comparison is not the present one."""
    with unit_of_work():
        state = _undecided(server, comparison)
        adopt(
            server, wire.Point(revision=state.halted_revision or 0, mark=state.halted_mark), state.effective
        )
        ServerSync.objects.filter(server=server).update(
            rebuild_wanted_at=timezone.now(), rebuild_reason=REBUILD_REASON
        )
        _record("history.panel_right", server, state, by)


def server_is_right(server: MailServer, comparison: str, *, by: User) -> None:
    """Begin to take what the server has (`domains.driver.taking`); Conflict when the comparison is not the present
    one. From here on the counter is ahead of the server's, so that whatever changes is sent to it afterwards.
    """
    with unit_of_work():
        state = _undecided(server, comparison)
        _raise_counter(server, state.halted_revision or 0)
        ServerSync.objects.filter(server=server).update(taking_since=timezone.now(), taking_by=by)
        _record("history.server_right", server, state, by)


def adopt(server: MailServer, point: wire.Point, effective: int) -> None:
    """Take the server's point for one that the panel gave it, and end the halt."""
    _raise_counter(server, point.revision)
    ServerMark.objects.get_or_create(server=server, revision=point.revision, mark=point.mark)
    ServerSync.objects.filter(server=server).update(
        confirmed_revision=point.revision,
        confirmed_mark=point.mark,
        pending_revision=None,
        pending_mark="",
        effective=min(effective, point.revision),
        halted_at=None,
        halted_reason="",
        halted_revision=None,
        halted_mark="",
        compared_at=None,
        taking_since=None,
        taking_by=None,
    )
    close_incident(IncidentKind.HALTED, server.name)


def _undecided(server: MailServer, comparison: str) -> ServerSync:
    """The state of a server that waits for this decision, locked against a second one."""
    state = halted().select_for_update(of=("self",)).filter(server=server).first()
    if state is None:
        raise Conflict(
            "This server is not halted any more: somebody else has decided, or let its sync go on."
        )
    if state.taking_since:
        raise Conflict("Somebody else has decided already that the server is right.")
    if (state.halted_revision or 0) > HIGHEST:
        raise Conflict(
            "No server can have come to this revision: its files are damaged, or somebody wrote to them. Remove them "
            "on the server, then let the sync go on: it is filled anew from here."
        )
    if uncompared().filter(server=server).exists() or comparison != token(state):
        raise Conflict("This is not the comparison that you saw. Look at the present one before you decide.")
    return state


def _raise_counter(server: MailServer, revision: int) -> None:
    MailServer.objects.filter(pk=server.pk).update(revision=Greatest(F("revision"), revision + 1))


def _record(action: str, server: MailServer, state: ServerSync, by: User) -> None:
    after = {
        "differences": server.differences.count(),
        "revision": state.compared_revision,
        "server_revision": state.compared_node_revision,
    }
    audit.record(action, by=by, subject=server.name, after=after)
