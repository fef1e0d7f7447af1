"""Money that staff send back: what they did, why, and how it goes. What goes to cards has a `CardRefund` for each."""

from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.models.of_sale import OfSale
from billing.money import CurrencyField, format_money


class RefundWay(models.TextChoices):
    CARD = "card", "Back to the card"
    BANK_TRANSFER = "bank_transfer", "Bank transfer"
    OTHER = "other", "Other"
    DISPUTE = "dispute", "Taken back by the bank of the card"


BY_STAFF = [RefundWay.BANK_TRANSFER, RefundWay.OTHER]  # what they do themselves, and note


class Refund(OfSale):
    """Staff sent back money of an order or a renewal: all that was owed for an order that came to nothing, or, with a
    reason, what was paid for what runs. Or the owner of a card took it back at the bank, by a dispute.
    """

    amount_minor = models.PositiveIntegerField()
    currency = CurrencyField()
    # The defaults of the database are for programs of the version before, which may run on while this one starts.
    way = models.CharField(
        max_length=13,
        choices=RefundWay.choices,
        default=RefundWay.BANK_TRANSFER,
        db_default=RefundWay.BANK_TRANSFER,
    )
    reference = models.CharField(max_length=100, blank=True)
    reason = models.CharField(
        max_length=500, blank=True, db_default="", help_text="Why; the customer reads it."
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    submission = models.CharField(max_length=64, blank=True, db_default="", editable=False)
    fingerprint = models.CharField(max_length=64, blank=True, db_default="", editable=False)

    class Meta(OfSale.Meta):
        ordering = ["at"]
        constraints = [
            *OfSale.Meta.constraints,
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_amount_positive"),
            models.CheckConstraint(condition=Q(way__in=RefundWay.values), name="refund_way_known"),
            models.CheckConstraint(
                condition=Q(way=RefundWay.DISPUTE) | Q(by__isnull=False), name="refund_by_somebody"
            ),
            models.UniqueConstraint(
                fields=["order", "submission"], condition=~Q(submission=""), name="refund_submitted_once"
            ),
            models.UniqueConstraint(
                fields=["renewal", "submission"],
                condition=~Q(submission=""),
                name="refund_of_renewal_submitted_once",
            ),
        ]

    def __str__(self) -> str:
        return f"Refund of {self.amount} for {self.sale_id}"

    @property
    def customer_id(self) -> UUID:
        return self.sale.customer_id

    @property
    def amount(self) -> str:
        return format_money(self.amount_minor, self.currency)
