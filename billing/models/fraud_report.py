"""What staff tell FraudRecord about a customer, and take back."""

from uuid import uuid4

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.fraudrecord import report_url


class ReportState(models.TextChoices):
    """Where a report is, with the sentence that staff read."""

    WAITING = "waiting", "On its way."
    SENT = "sent", "At FraudRecord."
    UNCLEAR = "unclear", "It may be at FraudRecord: no answer came back."
    FAILED = "failed", "Not sent."
    WITHDRAWING = "withdrawing", "Being deleted at FraudRecord."
    WITHDRAWN = "withdrawn", "Withdrawn: it is not at FraudRecord any more."


class FraudReport(models.Model):
    """A report about a customer that staff send to FraudRecord. Its text is published in clear."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    order = models.ForeignKey("billing.Order", models.PROTECT, related_name="fraud_reports")
    kind = models.CharField("type", max_length=32, help_text="One or two words, published as they are.")
    severity = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(10)])
    text = models.TextField(max_length=500)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(
        null=True, default=timezone.now, help_text="Empty: not tried any more."
    )
    sent_at = models.DateTimeField(null=True)
    code = models.CharField(max_length=64, blank=True)
    problem = models.CharField(max_length=200, blank=True)
    tried_at = models.DateTimeField(null=True, help_text="When it was last begun to be sent.")
    is_unclear = models.BooleanField(
        default=False, help_text="It may have arrived, though no code came back."
    )

    class Meta:
        ordering = ["at"]
        indexes = [
            models.Index(
                fields=["next_try_at"], condition=Q(next_try_at__isnull=False), name="fraud_report_due"
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(severity__range=(1, 10)), name="fraud_report_severity_range"),
            models.UniqueConstraint(fields=["order", "kind", "severity", "text"], name="fraud_report_once"),
        ]

    def __str__(self) -> str:
        return f"Report of {self.order_id}: {self.kind}"

    @property
    def state(self) -> ReportState:
        """What the facts mean together."""
        if withdrawal := getattr(self, "withdrawal", None):
            return ReportState.WITHDRAWN if withdrawal.gone_at else ReportState.WITHDRAWING
        if self.sent_at:
            return ReportState.SENT
        if self.next_try_at:
            return ReportState.WAITING
        return ReportState.UNCLEAR if self.is_unclear else ReportState.FAILED

    @property
    def url(self) -> str:
        """The page at FraudRecord that integrations are required to link to; empty before it is there."""
        return report_url(self.code) if self.code else ""


class ReportWithdrawal(models.Model):
    """Staff take a report of ours back: it is deleted at FraudRecord, or was never there."""

    report = models.OneToOneField(FraudReport, models.CASCADE, related_name="withdrawal")
    reason = models.CharField(max_length=300)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, help_text="Empty: not tried any more.")
    gone_at = models.DateTimeField(null=True, help_text="From when on it is not at FraudRecord any more.")
    is_unclear = models.BooleanField(default=False, help_text="An attempt may have arrived.")
    problem = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_try_at"], condition=Q(next_try_at__isnull=False), name="report_withdrawal_due"
            ),
        ]

    def __str__(self) -> str:
        return f"Withdrawal of {self.report_id}"

    @property
    def is_given_up(self) -> bool:
        """Whether nobody tries any more, although it may still be there."""
        return self.gone_at is None and self.next_try_at is None
