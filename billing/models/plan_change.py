"""Taking a cheaper plan, or paying by another period: both wait for the first day that is not sold yet."""

from datetime import date

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.plan import Period
from billing.money import format_money


class ChangeOutcome(models.TextChoices):
    TAKEN = "taken", "Took effect"
    WITHDRAWN = "withdrawn", "Withdrawn"
    DROPPED = "dropped", "Dropped, because what is used did not fit"


class PlanChange(models.Model):
    """Somebody wants another version from the next period on, or the same one by another `period`. It is planned until
    `ended_at`; a subscription has one.
    """

    subscription = models.ForeignKey("billing.Subscription", models.PROTECT, related_name="plan_changes")
    version = models.ForeignKey("billing.PlanVersion", models.PROTECT, related_name="+")
    period = models.CharField(
        max_length=7,
        choices=Period.choices,
        blank=True,
        default="",
        db_default="",
        help_text="Empty: as before.",
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    renewal = models.ForeignKey(
        "billing.Renewal", models.PROTECT, null=True, related_name="+", help_text="That sold it."
    )
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    outcome = models.CharField(max_length=9, choices=ChangeOutcome.choices, blank=True)
    why = models.CharField(max_length=500, blank=True, help_text="Why it was dropped.")

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"], condition=Q(ended_at=None), name="plan_change_one_planned"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, outcome="")
                | Q(ended_at__isnull=False, outcome__in=ChangeOutcome.values),
                name="plan_change_ends_with_an_outcome",
            ),
            models.CheckConstraint(
                condition=Q(period__in=["", *Period.values]), name="plan_change_period_known"
            ),
        ]

    def __str__(self) -> str:
        return f"Change to {self.to}" if self.period else f"Change to {self.version}"

    @property
    def to(self) -> str:
        """To what it changes, in words: a plan, or "yearly payment"."""
        return f"{self.get_period_display().lower()} payment" if self.period else self.version.plan.name

    @property
    def amount_minor(self) -> int:
        """What the period costs that begins then, without tax: with the coupon, where one holds."""
        if self.renewal:
            return self.renewal.amount_minor
        service = self.subscription
        return int(service.price_of(service.periods, self.version, self.period)["amount_minor"])

    @property
    def price(self) -> str:
        return format_money(self.amount_minor, self.version.currency)

    @property
    def on(self) -> date:
        """The day on which it takes effect."""
        return self.renewal.from_on if self.renewal else self.subscription.renews_on
