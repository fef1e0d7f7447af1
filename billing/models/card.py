"""What is between us and Stripe: pages where somebody may pay, money that goes back to a card, events we were told of."""

from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Customer
from billing.models.hosted_page import HostedPage
from billing.models.of_sale import OfSale
from billing.money import CurrencyField, format_money


class Checkout(OfSale, HostedPage):
    """A page at Stripe where what is due is paid by card. An order or a renewal has one at a time that is open."""

    amount_minor = models.PositiveIntegerField()
    currency = CurrencyField()

    class Meta(OfSale.Meta):
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["next_look_at"], name="checkout_to_look_at", condition=Q(ended_at=None))
        ]
        constraints = [
            *OfSale.Meta.constraints,
            models.UniqueConstraint(fields=["order"], condition=Q(ended_at=None), name="checkout_one_open"),
            models.UniqueConstraint(
                fields=["renewal"], condition=Q(ended_at=None), name="checkout_of_renewal_one_open"
            ),
            models.UniqueConstraint(
                fields=["session"], condition=~Q(session=""), name="checkout_session_once"
            ),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="checkout_amount_positive"),
        ]

    def __str__(self) -> str:
        return f"Payment by card for {self.sale_id}"

    @property
    def of(self) -> Customer:
        return self.sale.customer


class ReturnReason(models.TextChoices):
    CANCELLED = "cancelled", "The order was cancelled"
    REJECTED = "rejected", "The order was rejected"
    PAID = "paid", "The order was paid already"
    BY_HAND = "by_hand", "Sent back at Stripe by hand"
    STAFF = "staff", "Sent back by our staff"


ONCE = [ReturnReason.CANCELLED, ReturnReason.REJECTED, ReturnReason.PAID]  # of one payment


class CardRefund(models.Model):
    """Money of a card payment that goes back to the card, all of it or a part: by itself, because staff wanted that
    (`ordered`), or because somebody sent it at Stripe.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    payment = models.ForeignKey("billing.Payment", models.PROTECT, related_name="card_refunds")
    amount_minor = models.PositiveIntegerField()
    reason = models.CharField(max_length=9, choices=ReturnReason.choices)
    ordered = models.ForeignKey("billing.Refund", models.PROTECT, null=True, related_name="card_refunds")
    at = models.DateTimeField(default=timezone.now)
    refund = models.CharField(
        max_length=100, blank=True, help_text="Stripe's id; empty until Stripe took it."
    )
    sent_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(
        null=True, help_text="When Stripe refused it for good, or could not bring it there."
    )
    problem = models.CharField(max_length=200, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    keys_spent = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(
        null=True,
        default=timezone.now,
        help_text="When it is sent; once it is, when Stripe is asked about it.",
    )

    class Meta:
        ordering = ["at"]
        indexes = [
            models.Index(
                fields=["next_try_at"], name="card_refund_to_do", condition=Q(next_try_at__isnull=False)
            )
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="card_refund_amount_positive"),
            models.CheckConstraint(
                condition=Q(reason__in=ReturnReason.values), name="card_refund_reason_known"
            ),
            models.CheckConstraint(
                condition=Q(reason="staff", ordered__isnull=False) | (~Q(reason="staff") & Q(ordered=None)),
                name="card_refund_of_staff_is_ordered",
            ),
            models.UniqueConstraint(
                fields=["payment", "reason"], condition=Q(reason__in=ONCE), name="card_refund_once"
            ),
            models.UniqueConstraint(
                fields=["refund"], condition=~Q(refund=""), name="card_refund_at_stripe_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} back to a card"

    @property
    def amount(self) -> str:
        return format_money(self.amount_minor, self.payment.currency)


class EventOutcome(models.TextChoices):
    WAITING = "", "Waits for its task"
    WORKED = "worked", "Worked"
    FOREIGN = "foreign", "About nothing of ours"
    UNKNOWN = "unknown", "Of a kind that we do nothing about"


class StripeEvent(models.Model):
    """Stripe told us that something happened. What, is asked there: of the event only its kind and subject are kept."""

    event = models.CharField(
        primary_key=True, max_length=100, help_text="Stripe's id; the same event twice is one."
    )
    kind = models.CharField(max_length=100)
    about = models.CharField(max_length=100, blank=True, help_text="Stripe's id of what it is about.")
    received_at = models.DateTimeField(default=timezone.now)
    outcome = models.CharField(max_length=7, choices=EventOutcome.choices, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, default=timezone.now)

    class Meta:
        ordering = ["-received_at"]
        indexes = [
            models.Index(fields=["next_try_at"], name="stripe_event_to_work", condition=Q(outcome="")),
            models.Index(fields=["received_at"], name="stripe_event_by_age"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=EventOutcome.values), name="stripe_event_outcome_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event}"
