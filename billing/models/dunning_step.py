"""What a renewal's not being paid leads to, one step after the other."""

from django.db import models
from django.db.models import Q
from django.utils import timezone


class DunningKind(models.TextChoices):
    """What the customer is told, or what is stopped, in this order."""

    REMINDED = "reminded", "Asked to pay"
    SENDING_ANNOUNCED = "sending_announced", "Told that sending stops"
    SENDING_STOPPED = "sending_stopped", "Sending stopped"
    RECEIVING_ANNOUNCED = "receiving_announced", "Told that receiving stops"
    RECEIVING_STOPPED = "receiving_stopped", "Receiving stopped"
    HANDED_OVER = "handed_over", "For staff to decide"


STOPS = {
    DunningKind.SENDING_STOPPED: ("send",),
    DunningKind.RECEIVING_STOPPED: ("receive", "send"),
}


class DunningStep(models.Model):
    """A step that was taken because a renewal is not paid."""

    renewal = models.ForeignKey("billing.Renewal", models.PROTECT, related_name="steps")
    kind = models.CharField(max_length=19, choices=DunningKind.choices)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["at"]
        constraints = [
            models.UniqueConstraint(fields=["renewal", "kind"], name="dunning_step_once"),
            models.CheckConstraint(condition=Q(kind__in=DunningKind.values), name="dunning_step_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.renewal_id}"
