"""What happened to a customer's things, which webhooks are owed it, and what they answered."""

from datetime import datetime, timedelta
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from foundation.unit_of_work import unit_of_work

KEPT = timedelta(days=30)
GIVEN_UP_AFTER = timedelta(days=3)
NUMBERS_KEPT = timedelta(days=400)  # after the last event of an object its numbers begin again
AT_ONCE = 10_000  # rows in one statement


class EventCounter(models.Model):
    """How many events of one object there have been since the customer had a webhook. Which object, says a keyed hash
    alone: the row outlives it.
    """

    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="+")
    object = models.CharField(
        max_length=64, help_text="HMAC of <noun>:<id>, for example of domain:acme.test."
    )
    last = models.PositiveBigIntegerField()
    at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "object"], name="event_counter_once")]

    def __str__(self) -> str:
        return f"{self.object[:8]}: {self.last}"


class WebhookEvent(models.Model):
    """Something that happened to an object of a customer: ids and facts, never a name of a person or a text."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="webhook_events")
    kind = models.CharField(max_length=40)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    data = models.JSONField()

    def __str__(self) -> str:
        return f"{self.kind} {self.data['id']}"

    @property
    def message_id(self) -> str:
        """The `webhook-id` under which it is sent, the same at each call."""
        return f"msg_{self.pk.hex}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def with_last_answer(self) -> "DeliveryQuerySet":
        """Each with `last_status` and `last_failure` of its newest call, None before the first."""
        calls = Attempt.objects.filter(delivery=models.OuterRef("pk")).order_by("-pk")
        last = {f"last_{name}": models.Subquery(calls.values(name)[:1]) for name in ("status", "failure")}
        return self.annotate(**last)


class Delivery(models.Model):
    """An event that a webhook is to be told of: waiting until `ended_at`; told if `is_delivered`."""

    webhook = models.ForeignKey("accounts.Webhook", models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(WebhookEvent, models.CASCADE, related_name="deliveries")
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    is_delivered = models.BooleanField(default=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["webhook", "next_at"], condition=Q(ended_at=None), name="delivery_open"),
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook}"

    def get_absolute_url(self) -> str:
        customer = self.webhook.customer.username
        return reverse("accounts:delivery-page", args=[customer, self.webhook_id, self.pk])

    @property
    def due_at(self) -> datetime | None:
        """When it is called next, which is not before its webhook has rested; None where it waits no more."""
        return None if self.ended_at else max(self.next_at, self.webhook.rests_until)

    @property
    def is_due(self) -> bool:
        """Whether a worker calls about now."""
        is_on = self.webhook.switched_off_at is None
        return is_on and self.due_at is not None and self.due_at <= timezone.now()

    @property
    def status(self) -> str:
        """`delivered`, `given_up`, or `waiting` for its first or next call."""
        if self.ended_at is None:
            return "waiting"
        return "delivered" if self.is_delivered else "given_up"

    def send_again(self) -> bool:
        """Send it now, also where that was done; false while it waits for its first call. ValidationError while the
        webhook is off.
        """
        if self.webhook.switched_off_at:
            raise ValidationError("Switch the webhook on first.", code="off")
        with unit_of_work():
            now = timezone.now()
            waits = Q(ended_at=None, next_at__lte=now)
            done = Delivery.objects.filter(pk=self.pk).exclude(waits)
            if not done.update(ended_at=None, next_at=now):
                return False
            self.webhook.call_soon()
        return True


class Attempt(models.Model):
    """One call of a webhook: what it answered, the first kilobyte of it, or why it did not."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="calls")
    at = models.DateTimeField(default=timezone.now)
    milliseconds = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True)
    reply = models.CharField(max_length=1024, blank=True)
    failure = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return str(self.status or self.failure)


def forget_old_events(now: datetime | None = None) -> int:
    """Erase events past KEPT with all that was done to tell them, and numbers past NUMBERS_KEPT, AT_ONCE at most of each;
    returns how many rows.
    """
    now = now or timezone.now()
    old = WebhookEvent.objects.filter(at__lt=now - KEPT).values("pk")[:AT_ONCE]
    done = WebhookEvent.objects.filter(pk__in=old).delete()[0]
    numbers = EventCounter.objects.filter(at__lt=now - NUMBERS_KEPT).values("pk")[:AT_ONCE]
    return done + EventCounter.objects.filter(pk__in=numbers).delete()[0]
