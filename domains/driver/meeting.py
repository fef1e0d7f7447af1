"""Finding out how a server is, and where: regularly, when it failed and may be back, when it is elsewhere than thought."""

from functools import partial

from django.conf import settings

from domains.driver import hints, watching
from domains.driver.alone import SYNC, alone
from domains.driver.outcomes import attempt, recovered
from domains.driver.points import confirmed, go_on_from, note, pending
from domains.driver.sync import sync
from domains.models import MailServer, ServerSync
from mailnode import wire


def pull(server_id: int) -> None:
    """Take what a server reports. One that is elsewhere than thought (its files came from an older copy, say) is gone
    on from there at once, and not first at the next change.
    """
    server = MailServer.objects.select_related("sync").filter(pk=server_id).first()
    if server and attempt(server, partial(watching.pull, server)) and _is_elsewhere(server):
        try_again(server_id)


def try_again(server_id: int) -> None:
    """Ask a server where it is, shortly; where it answers, go on from there."""
    hints.taken(server_id, hints.SYNC_SLOW)
    server = MailServer.objects.select_related("sync").filter(pk=server_id).first()
    if server is None:
        return
    with alone(SYNC, server_id) as mine:
        is_met = mine and attempt(server, partial(_meet, server))
    if is_met:
        sync(server_id)


def _meet(server: MailServer) -> None:
    server.sync.refresh_from_db()
    status = watching.pull_status(server, deadline=settings.AGENT_FAST_DEADLINE)
    if not server.sync.halted_at:
        point = wire.Point(revision=status.revision, mark=status.mark)
        if point != confirmed(server.sync):
            go_on_from(server, point)
        note(server, effective=min(status.effective, point.revision))
    if not MailServer.objects.behind().filter(pk=server.pk).exists():
        note(server, **recovered(server))


def _is_elsewhere(server: MailServer) -> bool:
    """Whether the server last reported a point that is neither the confirmed one nor the one being sent."""
    state = ServerSync.objects.get(server=server)
    if state.halted_at or "mark" not in state.reported:
        return False
    point = wire.Point(revision=state.reported["revision"], mark=state.reported["mark"])
    return point not in (confirmed(state), pending(state))
