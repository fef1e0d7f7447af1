"""What a server says of customers that are not placed there: refused, counted, and told to staff."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from domains.models import Incident, IncidentKind, Kind, MailServer, ServerRow, open_incident

ROWS_NAMED = 20
QUIET = timedelta(hours=1)  # without another such report, after which the incident is over


def refuse(server: MailServer, mailboxes: Collection[UUID]) -> None:
    """These mailboxes were reported and are none of the server's customers. One that the server was told of, and that
    is no more, is no lie: it may not have heard of that yet.
    """
    told = ServerRow.objects.filter(server=server, kind=Kind.MAILBOX, key__in=mailboxes)
    foreign = sorted(set(mailboxes) - set(told.values_list("key", flat=True)))
    if not foreign:
        return
    so_far = _open(server).values_list("count", flat=True).first() or 0
    open_incident(
        IncidentKind.FOREIGN,
        server.name,
        f"{server} reported mailboxes of customers that are not placed there. Nothing of it was taken. A server in "
        "its right mind knows only what this panel told it: find out who has changed it, and renew its key.",
        server=server,
        rows=[[Kind.MAILBOX.value, key.hex, "usage"] for key in foreign[:ROWS_NAMED]],
        count=so_far + len(foreign),
    )


def close_if_quiet(server: MailServer) -> None:
    """The server has reported for a while now without such a thing."""
    now = timezone.now()
    _open(server).filter(seen_at__lt=now - QUIET).update(closed_at=now)


def _open(server: MailServer) -> QuerySet[Incident]:
    return Incident.objects.filter(kind=IncidentKind.FOREIGN, subject=server.name, closed_at=None)
