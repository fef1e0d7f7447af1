from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.fraudrecord import Verdict, report_url


class Outcome(models.TextChoices):
    """What the check of an order came to, with the sentence that staff read."""

    CLEAN = "clean", "Nothing reported"
    REPORTED = "reported", "Reported by others"
    HELD = "held", "Held: reported often, badly and reliably"
    OUTAGE = "outage", "FraudRecord could not be reached; it is asked again"
    REFUSED = "refused", "FraudRecord refuses our key or our question; the operator must mend that"
    OFF = "off", "FraudRecord is switched off here"
    COUNTRY = "country", "Not asked: FraudRecord is switched off for this country"
    EXEMPT = "exempt", "Not asked: the customer is exempt"
    VOUCHED = "vouched", "Not asked: the customer is exempt; two people decide all the same"


VERDICTS = frozenset({Outcome.CLEAN, Outcome.REPORTED, Outcome.HELD})
# Those that let an order go on without a person, unless a signal of our own sends it to one.
CLEARING = frozenset({Outcome.CLEAN, Outcome.EXEMPT})


class FraudCheck(models.Model):
    """The check of an order with FraudRecord: when to ask, and the verdict. Never what was sent: `digest` is a hash of
    all details together, keyed with our secret, by which the same details are known for a day.
    """

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
    verdict_at = models.DateTimeField(null=True, help_text="When FraudRecord said so.")
    digest = models.CharField(max_length=64, blank=True, editable=False)
    problem = models.CharField(max_length=200, blank=True, help_text="Why the last question has no answer.")

    class Meta:
        indexes = [
            models.Index(fields=["digest"], condition=~Q(digest=""), name="fraud_check_same_details"),
            models.Index(fields=["verdict_at"], condition=~Q(code=""), name="fraud_check_code_age"),
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
    def verdict(self) -> Verdict | None:
        """What FraudRecord said, where it has spoken; its code is empty once that is a year ago."""
        if self.value is None or self.count is None or self.reliability is None:
            return None
        return Verdict(self.value, self.count, Decimal(self.reliability), self.code)

    @property
    def report_url(self) -> str:
        """The page at FraudRecord that integrations are required to link to; empty without a verdict."""
        return report_url(self.code) if self.code else ""


class FraudExemption(models.Model):
    """Staff vouch for a customer: FraudRecord is not asked about its orders, nor about others that its owners place."""

    customer = models.OneToOneField("accounts.Customer", models.CASCADE, related_name="fraud_exemption")
    reason = models.CharField(max_length=300)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.customer} is exempt"
