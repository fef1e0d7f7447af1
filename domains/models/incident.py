"""What is wrong and wants staff: opened once, mailed once, closed by whatever sees it well again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models, transaction
from django.db.models import F, Q
from django.utils import timezone

from domains.models.server import MailServer

ROWS_KEPT = 1_000  # of the rows that an incident names
INCIDENTS_KEPT = timedelta(days=365)
OPENING = 0x6D78_696E  # "mxin", our class of advisory locks
REOPENS_WITHIN = timedelta(minutes=15)  # what comes back so soon is the same incident


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
    FRAUDRECORD = "fraudrecord", "FraudRecord refuses our key"


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
    reopened = models.PositiveIntegerField(default=0, help_text="How often it came back within minutes.")
    # What staff were last told by mail is the later one of these (domains.incident_mail).
    opening_mailed_at = models.DateTimeField(null=True)
    closing_mailed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-opened_at"]
        indexes = [models.Index(fields=["kind", "subject", "closed_at"], name="incident_of_subject")]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(closed_at=None), name="incident_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"

    @property
    def way_out(self) -> str:
        """What staff do about it, in words."""
        from domains.alarms import ALARMS

        return ALARMS[IncidentKind(self.kind)].way_out


class IncidentReport(models.Model):
    """One mail to staff: the ids of the incidents that it says have opened, and closed."""

    at = models.DateTimeField(default=timezone.now)
    opened = ArrayField(models.BigIntegerField())
    closed = ArrayField(models.BigIntegerField())

    def __str__(self) -> str:
        return f"{len(self.opened)} opened, {len(self.closed)} closed"


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

    @property
    def is_failing(self) -> bool:
        """Whether it failed after it last ended well."""
        return self.failed_at is not None and (self.at is None or self.failed_at > self.at)


def note_end(name: str) -> None:
    """Note that something ended well just now."""
    Pulse.objects.update_or_create(name=name, defaults={"at": timezone.now()})


def note_failure(name: str, error: BaseException) -> None:
    """Note that something failed just now. The error's type alone, for its text may quote what is secret."""
    facts = {"failed_at": timezone.now(), "failure": type(error).__name__[:200]}
    Pulse.objects.update_or_create(name=name, defaults=facts)


def open_incident(
    kind: IncidentKind,
    subject: str,
    text: str,
    *,
    server: MailServer | None = None,
    rows: Sequence[Sequence[Any]] = (),
    count: int | None = None,
) -> Incident:
    """The open incident of this kind and subject, with the latest text and rows: made, seen again, or the last one
    come back.
    """
    now = timezone.now()
    facts = {
        "text": on_one_line(text)[:1000],
        "seen_at": now,
        "rows": [list(row) for row in rows[:ROWS_KEPT]],
        "count": len(rows) if count is None else count,
    }
    with transaction.atomic():
        _one_at_a_time(kind, subject)
        same = Incident.objects.filter(kind=kind, subject=subject[:300])
        recent = same.filter(Q(closed_at=None) | Q(closed_at__gt=now - REOPENS_WITHIN))
        last = recent.order_by(F("closed_at").desc(nulls_first=True)).first()
        if last and last.closed_at:
            same.filter(pk=last.pk).update(closed_at=None, reopened=F("reopened") + 1)
        incident, _ = same.update_or_create(
            kind=kind,
            subject=subject[:300],
            closed_at=None,
            defaults=facts,
            create_defaults={**facts, "server": server},
        )
    return incident


def on_one_line(text: str) -> str:
    """Without line breaks and control characters: part of it may be a server's own words, and must not pass for ours in
    a mail.
    """
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def close_incident(kind: IncidentKind, subject: str) -> bool:
    """Note that it is well again; false when nothing was open."""
    still_open = Incident.objects.filter(kind=kind, subject=subject[:300], closed_at=None)
    return bool(still_open.update(closed_at=timezone.now()))


def forget_old_incidents() -> int:
    """Forget incidents, and the mails about them, that have been over for INCIDENTS_KEPT; how many incidents."""
    before = timezone.now() - INCIDENTS_KEPT
    IncidentReport.objects.filter(at__lt=before).delete()
    return Incident.objects.filter(closed_at__lt=before).delete()[0]


def _one_at_a_time(kind: str, subject: str) -> None:
    """Until the transaction's end nobody else opens the same incident."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [OPENING, f"{kind} {subject[:300]}"])
