"""The rates of tax, by country and the day from which each holds."""

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.tax import Rate


class TaxRate(models.Model):
    """One rate; it ends where the next of its country begins. What has begun is never changed (a trigger sees to it):
    invoices stand on it, and a new rate is a new row.
    """

    country = models.CharField(max_length=2, help_text="ISO 3166 alpha-2, such as DE.")
    rate = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))],
        help_text="In per cent.",
    )
    label = models.CharField(max_length=20, default="VAT", help_text="What it is called: VAT, MwSt., TVA …")
    from_on = models.DateField(
        "from", help_text="The first day on which it holds. It cannot be changed from then on."
    )

    class Meta:
        ordering = ["country", "-from_on"]
        constraints = [
            models.UniqueConstraint(fields=["country", "from_on"], name="tax_rate_one_a_day"),
            models.CheckConstraint(condition=Q(country__regex=r"^[A-Z]{2}$"), name="tax_rate_country_form"),
            models.CheckConstraint(condition=Q(rate__gte=0) & Q(rate__lte=100), name="tax_rate_per_cent"),
        ]

    def __str__(self) -> str:
        return f"{self.label} {self.country} {self.rate.normalize():f} % from {self.from_on}"

    def clean(self) -> None:
        """Staff may not date a rate back: what was sold since was taxed at another. ValidationError at `from_on`."""
        others = TaxRate.objects.filter(country=self.country).exclude(pk=self.pk)
        if self.from_on and self.has_begun and others.exists():
            raise ValidationError(
                {"from_on": "This country has a rate, so a new one begins tomorrow at the earliest."}
            )

    @property
    def has_begun(self) -> bool:
        """Whether it holds, or held; then the database refuses to change or delete it."""
        return self.from_on <= timezone.now().date()


def known_rates() -> list[Rate]:
    """All of them, as `billing.tax` takes them: a few for each country."""
    return [Rate(row.country, row.rate, row.label, row.from_on) for row in TaxRate.objects.all()]
