from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.of_sale import OfSale
from billing.money import CurrencyField, format_money


class PaymentMethod(models.TextChoices):
    BANK_TRANSFER = "bank_transfer", "Bank transfer"
    OTHER = "other", "Other"
    CARD = "card", "Card"
    CREDIT = "credit", "Credit"


BY_HAND = [
    PaymentMethod.BANK_TRANSFER,
    PaymentMethod.OTHER,
]  # what staff record; cards come from Stripe, credit is held here


class Payment(OfSale):
    """Money that came in for an order or a renewal. Written once; a mistake is answered by a refund, never by an edit."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    method = models.CharField(max_length=13, choices=PaymentMethod.choices)
    reference = models.CharField(max_length=100, blank=True)
    card = models.CharField(
        max_length=40,
        blank=True,
        db_default="",  # for programs of the version before, which may run on while this one starts
        help_text="Brand and last four digits.",
    )
    amount_minor = models.PositiveIntegerField()
    currency = CurrencyField()
    grant = models.ForeignKey(
        "billing.CreditGrant",
        models.PROTECT,
        null=True,
        related_name="payments",
        help_text="Whose credit pays.",
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    submission = models.CharField(max_length=64, default=uuid4, editable=False)
    fingerprint = models.CharField(max_length=64, editable=False, blank=True)

    class Meta(OfSale.Meta):
        ordering = ["at"]
        constraints = [
            *OfSale.Meta.constraints,
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payment_positive"),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="payment_currency_form"),
            models.CheckConstraint(condition=Q(method__in=PaymentMethod.values), name="payment_method_known"),
            models.CheckConstraint(
                condition=Q(grant=None) | Q(method=PaymentMethod.CREDIT), name="payment_grant_of_credit"
            ),
            models.UniqueConstraint(fields=["order", "submission"], name="payment_submitted_once"),
            models.UniqueConstraint(
                fields=["renewal", "submission"], name="payment_of_renewal_submitted_once"
            ),
            models.UniqueConstraint(
                fields=["reference"], condition=Q(method=PaymentMethod.CARD), name="payment_by_card_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{format_money(self.amount_minor, self.currency)} for {self.sale_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("A payment is never changed. Record what corrects it.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("A payment is never deleted. Record what corrects it.")

    @property
    def customer_id(self) -> UUID:
        return self.sale.customer_id

    @property
    def kept_minor(self) -> int:
        """What of it does not go back to the card."""
        back = [refund for refund in self.card_refunds.all() if not refund.failed_at]
        return max(0, self.amount_minor - sum(refund.amount_minor for refund in back))
