"""What staff see of a mail server on its page: facts of the panel beside what the server reports of itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from domains.look import time_of
from domains.models import Incident, MailServer, ServerSync

INCIDENTS_SHOWN = 20


@dataclass(frozen=True)
class ServerPage:
    """All that the page shows. `disk` is (bytes free, bytes in all) or None, `certificates` are (whose, its end,
    days left), `rows` (kind, how many live ones the server holds).
    """

    server: MailServer
    sync: ServerSync
    incidents: list[Incident]
    services: list[tuple[str, bool]]
    rows: list[tuple[str, int]]
    disk: tuple[int, int] | None
    certificates: list[tuple[str, datetime, int]]
    customers: int

    @property
    def is_working(self) -> bool:
        """Whether a rebuild or a digest is owed or under way."""
        return bool(self.sync.rebuild_wanted_at or self.sync.digest_wanted_at)

    @property
    def version(self) -> str:
        return str(self.sync.reported.get("version", ""))

    @property
    def queue(self) -> int | None:
        """Messages that wait in the server's queue; None when it does not know."""
        return self.sync.reported.get("queue")

    @property
    def lag_error(self) -> str:
        return self.sync.reported.get("lag_error") or ""


def server_page(server: MailServer) -> ServerPage:
    reported = server.sync.reported
    disk = (reported.get("disk_free", 0), reported.get("disk_total", 0))
    return ServerPage(
        server=server,
        sync=server.sync,
        incidents=list(server.incidents.filter(closed_at=None)[:INCIDENTS_SHOWN]),
        services=sorted(reported.get("services", {}).items()),
        rows=sorted(reported.get("rows", {}).items()),
        disk=disk if disk[1] else None,
        certificates=list(_certificates(reported)),
        customers=server.placements.exclude(placed_at=None).count(),
    )


def _certificates(reported: dict[str, Any]) -> Iterator[tuple[str, datetime, int]]:
    for whose, name in (("mail", "certificate_not_after"), ("agent", "agent_not_after")):
        ends_at = time_of(reported.get(name, 0))
        if ends_at:
            yield whose, ends_at, (ends_at - timezone.now()).days
