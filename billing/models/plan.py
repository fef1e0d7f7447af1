from django.db import models
from django.db.models import Q

from billing.money import CurrencyField, format_money
from billing.tax import TaxDecision, TaxedPrice, split


class Period(models.TextChoices):
    MONTHLY = "monthly", "Monthly"
    YEARLY = "yearly", "Yearly"


class Plan(models.Model):
    """What is sold: a total storage, limits, and a price for each period it is sold by."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    description = models.CharField(max_length=300, blank=True)
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
    is_open = models.BooleanField("open for orders", default=True)
    position = models.PositiveSmallIntegerField(default=0, help_text="Order on the page of plans.")

    class Meta:
        ordering = ["position", "slug"]
        constraints = [
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="plan_currency_form"),
            models.CheckConstraint(
                condition=Q(monthly_minor__isnull=False) | Q(yearly_minor__isnull=False),
                name="plan_has_a_price",
            ),
            models.CheckConstraint(
                condition=(Q(monthly_minor=None) | Q(monthly_minor__gt=0))
                & (Q(yearly_minor=None) | Q(yearly_minor__gt=0)),
                name="plan_price_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name

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
