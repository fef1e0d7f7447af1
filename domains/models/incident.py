"""What is wrong and wants staff: opened once, mailed once, closed by whatever sees it well again."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from domains.models.server import MailServer

ROWS_KEPT = 1_000  # of the rows that an incident names


class IncidentKind(models.TextChoices):
    """What can be wrong; what to do about each stands in `domains.alarms`."""

    BEHIND = "behind", "changes wait"
    HALTED = "halted", "sync is halted"
    REFUSED = "refused", "changes are refused"
    DIFFERENT = "different", "rows differed"
    FOREIGN = "foreign", "a server spoke of customers of others"
    SILENT = "silent", "server is silent"
    SERVICE = "service", "a service is down"
    DISK = "disk", "disk is filling up"
    QUEUE = "queue", "queue is long"
    CERTIFICATE = "certificate", "certificate ends soon"
    SWEEP = "sweep", "periodic work fails"
    WORKER = "worker", "workers are silent"


class Incident(models.Model):
    """One thing that is wrong (`kind` at `subject`), from `opened_at` until `closed_at`; at most one is open at a
    time. `rows` are [kind, key, what] of the rows concerned, at most ROWS_KEPT; `count` is how many there are.
    """

    kind = models.CharField(max_length=32, choices=IncidentKind.choices)
    subject = models.CharField(max_length=300, help_text="What it is about: a server, a queue, a task.")
    server = models.ForeignKey(MailServer, models.CASCADE, null=True, blank=True, related_name="incidents")
    text = models.CharField(max_length=1000)
    rows = models.JSONField(default=list)
    count = models.PositiveBigIntegerField(default=0)
    opened_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(closed_at=None), name="incident_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"


class Pulse(models.Model):
    """When a queue's canary or a periodic task last ended well (`at`), and last failed, with the type of the
    error.
    """

    name = models.CharField(max_length=200, primary_key=True)
    at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.name


def open_incident(
    kind: IncidentKind,
    subject: str,
    text: str,
    *,
    server: MailServer | None = None,
    rows: Sequence[Sequence[Any]] = (),
    count: int | None = None,
) -> Incident:
    """The open incident of this kind and subject, made or seen again, with the latest text and rows."""
    now = timezone.now()
    facts = {
        "text": text[:1000],
        "seen_at": now,
        "rows": [list(row) for row in rows[:ROWS_KEPT]],
        "count": len(rows) if count is None else count,
    }
    incident, _ = Incident.objects.update_or_create(
        kind=kind,
        subject=subject[:300],
        closed_at=None,
        defaults=facts,
        create_defaults={**facts, "server": server},
    )
    return incident


def close_incident(kind: IncidentKind, subject: str) -> bool:
    """Note that it is well again; false when nothing was open."""
    still_open = Incident.objects.filter(kind=kind, subject=subject[:300], closed_at=None)
    return bool(still_open.update(closed_at=timezone.now()))
