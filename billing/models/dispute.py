"""Disputes: the owner of a card told their bank that a payment was not theirs, or not what they had bought."""

from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.money import CurrencyField, format_money

LOST, WON = "lost", "won"
_WORDS = {
    "warning_needs_response": "The bank asks; nothing is taken yet",
    "warning_under_review": "The bank looks at the answer; nothing is taken yet",
    "warning_closed": "The bank asked no further",
    "needs_response": "Wants an answer",
    "under_review": "The bank looks at the answer",
    "appeal_needs_response": "Wants an answer, in the appeal",
    "appeal_under_review": "The bank looks at the answer, in the appeal",
    "prevented": "Settled before it was opened",
    WON: "Won",
    LOST: "Lost",
}
SETTLED = ["warning_closed", WON]  # the payment is as if there had been none
_CLOSED = {*SETTLED, "prevented", LOST}
_ANSWERABLE = {"warning_needs_response", "needs_response", "appeal_needs_response"}


class DisputeQuerySet(models.QuerySet["Dispute"]):
    def under_way(self) -> "DisputeQuerySet":
        """Those of which nobody knows yet who has the money in the end."""
        return self.exclude(status__in=_CLOSED)


class Dispute(models.Model):
    """One as it was at Stripe when it was last looked at; what it means for money is in the ledger."""

    dispute = models.CharField(max_length=100, unique=True, help_text="Stripe's id.")
    payment = models.ForeignKey("billing.Payment", models.PROTECT, related_name="disputes")
    amount_minor = models.PositiveIntegerField()
    currency = CurrencyField()
    reason = models.CharField(max_length=100, help_text="Stripe's word for it.")
    status = models.CharField(max_length=50, help_text="Stripe's word for it.")
    due_at = models.DateTimeField(null=True, help_text="Until when it can be answered.")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(default=timezone.now)
    lost = models.OneToOneField(
        "billing.Refund", models.PROTECT, null=True, related_name="dispute", help_text="What the bank kept."
    )

    objects = DisputeQuerySet.as_manager()

    class Meta:
        ordering = ["-opened_at"]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="dispute_amount_positive"),
            models.CheckConstraint(
                condition=Q(lost=None) | Q(status=LOST, closed_at__isnull=False),
                name="dispute_lost_is_closed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount}: {self.dispute}"

    @property
    def customer_id(self) -> UUID:
        return self.payment.sale.customer_id

    @property
    def amount(self) -> str:
        return format_money(self.amount_minor, self.currency)

    @property
    def status_words(self) -> str:
        return _WORDS.get(self.status, self.status.replace("_", " ").capitalize())

    @property
    def reason_words(self) -> str:
        return self.reason.replace("_", " ").capitalize()

    @property
    def is_answerable(self) -> bool:
        return self.status in _ANSWERABLE and (self.due_at is None or self.due_at > timezone.now())


def is_closed(status: str) -> bool:
    return status in _CLOSED
