"""What people said and decided about an order: one row each, with who, when and why."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Decision(models.TextChoices):
    APPROVE = "approve", "Approve"
    REJECT = "reject", "Reject"


class ReviewDecision(models.Model):
    """What staff decided. There is one for an order, and it stays."""

    order = models.OneToOneField("billing.Order", models.CASCADE, related_name="decision")
    decision = models.CharField(max_length=7, choices=Decision.choices)
    text = models.CharField(max_length=2000, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(decision__in=Decision.values), name="review_decision_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_decision_display()} {self.order_id}"


class MessageKind(models.TextChoices):
    QUESTION = "question", "Question from staff"
    ANSWER = "answer", "Answer of the customer"


class OrderMessage(models.Model):
    """A question of staff about an order, or the customer's answer to it."""

    order = models.ForeignKey("billing.Order", models.CASCADE, related_name="messages")
    kind = models.CharField(max_length=8, choices=MessageKind.choices)
    text = models.CharField(max_length=2000)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+",
        help_text="Empty: whoever had the link in the mail.",
    )  # fmt: skip
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=MessageKind.values), name="order_message_kind_known"),
            models.CheckConstraint(
                condition=Q(by__isnull=False) | Q(kind=MessageKind.ANSWER), name="order_message_by_somebody"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} about {self.order_id}"


class OrderCancellation(models.Model):
    """The customer took the order back."""

    order = models.OneToOneField("billing.Order", models.CASCADE, related_name="cancellation")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"Cancellation of {self.order_id}"
