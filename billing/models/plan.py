from typing import Any

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from billing.money import CurrencyField, format_money
from billing.tax import TaxDecision, TaxedPrice, split


class Period(models.TextChoices):
    MONTHLY = "monthly", "Monthly"
    YEARLY = "yearly", "Yearly"

    @property
    def other(self) -> "Period":
        return Period.MONTHLY if self == Period.YEARLY else Period.YEARLY


class Terms(models.Model):
    """What a plan holds, and what it costs: a total storage, limits, and a price for each period it is sold by."""

    storage_mb = models.PositiveIntegerField(
        "storage (MB)", help_text="Total of all mailboxes; 1 MB is 2^20 bytes."
    )
    mailboxes = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: unlimited.")
    domains = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: unlimited.")
    sends_per_day = models.PositiveIntegerField(default=9600, help_text="Recipients a day for each mailbox.")
    currency = CurrencyField()
    monthly_minor = models.PositiveIntegerField(
        "price a month",
        null=True,
        blank=True,
        help_text="In the minor unit (cents). Empty: not sold by the month.",
    )
    yearly_minor = models.PositiveIntegerField(
        "price a year",
        null=True,
        blank=True,
        help_text="In the minor unit (cents). Empty: not sold by the year.",
    )

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(currency__regex=r"^[A-Z]{3}$"), name="%(class)s_currency_form"
            ),
            models.CheckConstraint(
                condition=Q(monthly_minor__isnull=False) | Q(yearly_minor__isnull=False),
                name="%(class)s_has_a_price",
            ),
            models.CheckConstraint(
                condition=(Q(monthly_minor=None) | Q(monthly_minor__gt=0))
                & (Q(yearly_minor=None) | Q(yearly_minor__gt=0)),
                name="%(class)s_price_positive",
            ),
        ]

    @property
    def terms(self) -> dict[str, Any]:
        """By the names of the fields."""
        return {field.name: getattr(self, field.name) for field in Terms._meta.get_fields()}

    @property
    def storage_gb(self) -> str:
        """Storage in GB as text, without needless digits."""
        return f"{self.storage_mb / 1024:g}"

    def price(self, period: str) -> int | None:
        """The price of one `period` in the minor unit, None when the plan is not sold by it."""
        return {Period.MONTHLY: self.monthly_minor, Period.YEARLY: self.yearly_minor}[Period(period)]

    def taxed_price(self, period: str, decision: TaxDecision) -> TaxedPrice:
        """The price of one `period`, by which it is sold, with tax."""
        return TaxedPrice(split(self.price(period) or 0, decision.rate), self.currency, decision)

    @property
    def prices(self) -> str:
        """Every price in words: "59.00 USD a year or 5.90 USD a month"."""
        units = ((self.yearly_minor, "a year"), (self.monthly_minor, "a month"))
        return " or ".join(f"{format_money(minor, self.currency)} {unit}" for minor, unit in units if minor)


class Plan(Terms):
    """What is sold, under a name. Its terms are those of what is sold from now on; what was sold has its own version."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
    is_open = models.BooleanField("open for orders", default=True)
    position = models.PositiveSmallIntegerField(default=0, help_text="Order on the page of plans.")

    class Meta(Terms.Meta):
        ordering = ["position", "slug"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic():
            super().save(*args, **kwargs)
            self.present_version()

    def present_version(self) -> "PlanVersion":
        """The version by which it is sold now; written where the newest one has other terms."""
        newest = self.versions.first()
        if newest and newest.terms == self.terms:
            return newest
        with transaction.atomic():
            plan = Plan.objects.select_for_update(no_key=True).get(pk=self.pk)
            newest = self.versions.first()
            if newest and newest.terms == plan.terms:
                return newest
            return self.versions.create(number=newest.number + 1 if newest else 1, **plan.terms)


class PlanVersion(Terms):
    """The terms of a plan as they were for a time, and are for good for whoever bought it then. Never changed."""

    plan = models.ForeignKey(Plan, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    made_at = models.DateTimeField(default=timezone.now)

    class Meta(Terms.Meta):
        ordering = ["-number"]
        constraints = [
            *Terms.Meta.constraints,
            models.UniqueConstraint(fields=["plan", "number"], name="planversion_once"),
        ]

    def __str__(self) -> str:
        return f"{self.plan}, version {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("A version of a plan is never changed. Change the plan, which makes another.")
        super().save(*args, **kwargs)
