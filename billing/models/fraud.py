from uuid import uuid4

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.fraudrecord import report_url


class Outcome(models.TextChoices):
    """What the check of an order came to, with the sentence that staff read."""

    CLEAN = "clean", "Nothing reported"
    REPORTED = "reported", "Reported by others"
    HELD = "held", "Held: reported often, badly and reliably"
    OUTAGE = "outage", "FraudRecord could not be reached; it is asked again"
    REFUSED = "refused", "FraudRecord refuses our key or our question; the operator must mend that"
    OFF = "off", "FraudRecord is switched off here"


class FraudCheck(models.Model):
    """The check of an order with FraudRecord: when to ask, and the verdict. Never what was sent."""

    order = models.OneToOneField("billing.Order", models.CASCADE, related_name="fraud_check")
    outcome = models.CharField(max_length=8, choices=Outcome.choices, blank=True)
    value = models.PositiveIntegerField(null=True, help_text="Sum of the severities reported.")
    count = models.PositiveIntegerField(null=True, help_text="Number of reports.")
    reliability = models.DecimalField(
        max_digits=3, decimal_places=1, null=True, help_text="0.0, or 1.0 to 10.0."
    )
    code = models.CharField(max_length=16, blank=True, help_text="Of the report at FraudRecord.")
    attempts = models.PositiveSmallIntegerField(default=0)
    next_ask_at = models.DateTimeField(
        null=True, default=timezone.now, help_text="Empty: not asked any more."
    )
    answered_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_ask_at"], condition=Q(next_ask_at__isnull=False), name="fraud_check_due"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=["", *Outcome.values]), name="fraud_check_outcome_known"
            ),
            models.CheckConstraint(
                condition=~Q(outcome__in=["clean", "reported", "held"])
                | Q(value__isnull=False, count__isnull=False, reliability__isnull=False),
                name="fraud_check_verdict_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"Check of {self.order_id}: {self.outcome or 'not yet'}"

    @property
    def is_held(self) -> bool:
        return self.outcome == Outcome.HELD

    @property
    def report_url(self) -> str:
        """The page at FraudRecord that integrations are required to link to; empty without a verdict."""
        return report_url(self.code) if self.code else ""


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
