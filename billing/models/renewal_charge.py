"""Charging a kept card for a renewal, once for each attempt."""

from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.money import CurrencyField, format_money


class ChargeState(models.TextChoices):
    UNDER_WAY = "", "Under way"
    PAID = "paid", "Paid"
    DECLINED = "declined", "Declined"
    NEEDS_OWNER = "needs_owner", "The bank wants to hear from the owner of the card"


class RenewalCharge(models.Model):
    """An attempt to charge a kept card for a renewal. It is written down before Stripe is asked."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    renewal = models.ForeignKey("billing.Renewal", models.PROTECT, related_name="charges")
    number = models.PositiveSmallIntegerField()
    card = models.ForeignKey("billing.CardOnFile", models.PROTECT, related_name="charges")
    amount_minor = models.PositiveIntegerField()
    currency = CurrencyField()
    at = models.DateTimeField(default=timezone.now)
    key_at = models.DateTimeField(default=timezone.now, help_text="Since when the present key is used.")
    keys_spent = models.PositiveSmallIntegerField(default=0)
    asked_at = models.DateTimeField(null=True, help_text="When Stripe was last told to charge.")
    looks = models.PositiveSmallIntegerField(default=0)
    intent = models.CharField(
        max_length=100, blank=True, help_text="Stripe's id; empty until Stripe answered."
    )
    state = models.CharField(max_length=11, choices=ChargeState.choices, blank=True)
    reason = models.CharField(max_length=200, blank=True, help_text="Why it was not paid.")
    is_final = models.BooleanField(default=False, help_text="The same card will not do it later either.")
    ended_at = models.DateTimeField(null=True)
    is_new = False  # true of the object that `Renewal.begin_charge` has made

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["renewal", "number"], name="renewal_charge_once"),
            models.UniqueConstraint(
                fields=["renewal"], condition=Q(ended_at=None), name="renewal_charge_one_open"
            ),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="renewal_charge_positive"),
            models.CheckConstraint(
                condition=Q(state__in=ChargeState.values), name="renewal_charge_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state="", ended_at=None) | (~Q(state="") & Q(ended_at__isnull=False)),
                name="renewal_charge_ends_with_a_state",
            ),
        ]

    def __str__(self) -> str:
        return f"Charge {self.number} of {self.amount}"

    @property
    def amount(self) -> str:
        return format_money(self.amount_minor, self.currency)

    @property
    def ours(self) -> str:
        """What we call it at Stripe."""
        return f"{self.renewal_id}-{self.number}"

    @property
    def key(self) -> str:
        return f"renewal-{self.ours}-{self.keys_spent}"
