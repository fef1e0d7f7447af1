"""What was told of mailboxes and plans that are nearly full."""

from datetime import timedelta
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils import timezone

KEPT = timedelta(days=90)


class QuotaSummary(models.Model):
    """One mail about the warnings of a customer, for those who look after its mailboxes; at most one an hour."""

    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="quota_summaries")
    due_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["customer", "-due_at"], name="quota_summary_latest")]

    def __str__(self) -> str:
        return f"Storage of {self.customer}, {self.due_at:%Y-%m-%d %H:%M}"


class QuotaWarning(models.Model):
    """A mailbox, or without one the plan as a whole, came over so many percent of what it may hold; over when it fell
    clearly below.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="quota_warnings")
    mailbox = models.ForeignKey("domains.Mailbox", models.CASCADE, null=True, related_name="quota_warnings")
    percent = models.PositiveSmallIntegerField()
    at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    summary = models.ForeignKey(QuotaSummary, models.SET_NULL, null=True, related_name="warnings")

    class Meta:
        ordering = ["at", "percent"]
        constraints = [
            models.UniqueConstraint(
                fields=["mailbox", "percent"],
                condition=Q(ended_at=None, mailbox__isnull=False),
                name="quota_warning_of_mailbox_once",
            ),
            models.UniqueConstraint(
                fields=["customer", "percent"],
                condition=Q(ended_at=None, mailbox=None),
                name="quota_warning_of_plan_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox or self.customer} over {self.percent} %"


def forget_old_warnings() -> None:
    """Those that are over for 90 days, and the mails about them."""
    since = timezone.now() - KEPT
    QuotaWarning.objects.filter(ended_at__lt=since).delete()
    QuotaSummary.objects.filter(due_at__lt=since).delete()
