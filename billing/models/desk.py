"""What staff keep at the review desk. Customers never see any of it."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.canned_texts import check_placeholders
from billing.models.review import Decision


class ReviewNote(models.Model):
    """A note of staff about an order; with a `decision`, the first of the two that such an order needs.

    `seen` is how far the conversation with the customer was: a decision counts until somebody asks or answers.
    """

    order = models.ForeignKey("billing.Order", models.CASCADE, related_name="notes")
    text = models.CharField(max_length=2000, blank=True)
    decision = models.CharField(max_length=7, choices=Decision.choices, blank=True)
    seen = models.PositiveSmallIntegerField(default=0)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(decision__in=["", *Decision.values]), name="review_note_decision_known"
            ),
            models.CheckConstraint(condition=~Q(text="", decision=""), name="review_note_says_something"),
        ]

    def __str__(self) -> str:
        return f"Note about {self.order_id}"


class ReviewPresence(models.Model):
    """Somebody of the staff has the page of an order open, or had it at `seen_at`."""

    order = models.ForeignKey("billing.Order", models.CASCADE, related_name="presences")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["seen_at"], name="review_presence_by_age")]
        constraints = [
            models.UniqueConstraint(fields=["order", "person"], name="review_presence_once"),
        ]

    def __str__(self) -> str:
        return f"{self.person_id} at {self.order_id}"


class CannedKind(models.TextChoices):
    ASK = "ask", "Asking the customer"
    REJECT = "reject", "Rejecting"
    APPROVE = "approve", "Approving"


class CannedText(models.Model):
    """A text that staff send often, with placeholders such as `{name}` (`billing.canned_texts`)."""

    title = models.CharField(max_length=80, unique=True, help_text="By which staff find it.")
    kind = models.CharField("for", max_length=7, choices=CannedKind.choices, default=CannedKind.ASK)
    text = models.TextField(max_length=1500, validators=[check_placeholders])

    class Meta:
        ordering = ["kind", "title"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=CannedKind.values), name="canned_text_kind_known"),
        ]

    def __str__(self) -> str:
        return self.title

    @classmethod
    def offered(cls, most: int) -> "models.QuerySet[CannedText]":
        return cls.objects.all()[:most]

    @classmethod
    def numbered(cls, number: int) -> "CannedText | None":
        return cls.objects.filter(pk=number).first()
