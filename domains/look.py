"""One look at everything that alarms judge: the open incidents, the mail servers, the pulses. Three queries."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.utils import timezone

from domains.models import Incident, MailServer, Pulse


@dataclass(frozen=True)
class Wrong:
    """Something that is wrong now: what it is about, and in words."""

    subject: str
    text: str
    server: MailServer | None = None


@dataclass(frozen=True)
class Look:
    """The facts of one moment. `since`: from when on somebody has looked without a gap; whatever was not heard of
    before that counts from then, so that nothing is called silent for a time in which nobody could have heard it.
    """

    now: datetime
    since: datetime
    open: list[Incident]
    servers: dict[int, MailServer]
    pulses: dict[str, Pulse]
    behind: dict[int, datetime]  # id of a server -> since when it owes something
    working: dict[
        str, datetime
    ]  # queue -> since when it has answered without a break; without those that do not

    def silence(self, heard_at: datetime | None, *queues: str) -> timedelta:
        """How long nothing was heard, as far as somebody listened, and these queues worked for it to be said."""
        starts = [
            heard_at or self.since,
            self.since,
            *(self.working.get(queue, self.now) for queue in queues),
        ]
        return self.now - max(starts)

    def is_fresh(self, heard_at: datetime | None, limit: timedelta) -> bool:
        """Whether it was heard within `limit`, whoever listened."""
        return heard_at is not None and self.now - heard_at < limit

    def heard(self, pulse: str) -> datetime | None:
        found = self.pulses.get(pulse)
        return found.at if found else None

    def works(self, queue: str) -> bool:
        """Whether a worker of this queue has answered of late."""
        return queue in self.working


class Memory:
    """What is remembered between looks: since when each queue has worked, and since when each server owes a revision.
    The newest one that was wished when it last owed nothing older is the one that counts, so a server that keeps up
    with a stream of changes is never behind for long.
    """

    def __init__(self) -> None:
        self._targets: dict[int, tuple[int, datetime]] = {}
        self._working: dict[str, datetime] = {}

    def working(self, pulses: dict[str, Pulse], now: datetime) -> dict[str, datetime]:
        """Queue -> since when, of those that have answered of late."""
        heard = {
            queue: pulses[f"queue {queue}"].at for queue in settings.CANARIES if f"queue {queue}" in pulses
        }
        fresh = {queue for queue, at in heard.items() if at and now - at < canary_limit(queue)}
        self._working = {queue: self._working.get(queue, now) for queue in fresh}
        return self._working

    def behind(self, servers: dict[int, MailServer], since: datetime, now: datetime) -> dict[int, datetime]:
        """Id -> since when, of the servers that owe something. One that is seen for the first time owes it since
        somebody looks.
        """
        for key, server in servers.items():
            if key not in self._targets:
                self._targets[key] = (server.revision, max(since, server.enrolled_at))
            elif server.sync.effective >= self._targets[key][0]:
                self._targets[key] = (server.revision, now)
        self._targets = {key: self._targets[key] for key in servers}
        return {
            key: since
            for key, (revision, since) in self._targets.items()
            if servers[key].sync.effective < revision
        }


def look(since: datetime, memory: Memory) -> Look:
    """Look at everything. Incidents first: one that is among them was opened before the facts beside it were read."""
    open_ = list(Incident.objects.filter(closed_at=None).defer("rows"))
    servers = {
        server.pk: server for server in MailServer.objects.filter(sync__isnull=False).select_related("sync")
    }
    pulses = {pulse.name: pulse for pulse in Pulse.objects.all()}
    now = timezone.now()
    behind, working = memory.behind(servers, since, now), memory.working(pulses, now)
    return Look(now, since, open_, servers, pulses, behind, working)


def canary_period(queue: str) -> timedelta:
    return timedelta(seconds=settings.CANARIES[queue])


def canary_limit(queue: str) -> timedelta:
    """How long a queue may be silent before that counts."""
    return canary_period(queue) * settings.ALARM_MISSED_CANARIES


def time_of(seconds: int) -> datetime | None:
    """A time that a server reported; None for 0 (unknown) and for what no calendar holds."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (OverflowError, ValueError, OSError):
        return None
