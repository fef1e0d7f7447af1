from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class SubscriptionCancellation(models.Model):
    """Somebody does not want the service any more: at the end of what is paid, or at once."""

    subscription = models.ForeignKey("billing.Subscription", models.PROTECT, related_name="cancellations")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    withdrawn_at = models.DateTimeField(null=True, help_text="When they wanted it to go on after all.")
    withdrawn_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"], condition=Q(withdrawn_at=None), name="subscription_cancelled_once"
            ),
        ]

    def __str__(self) -> str:
        return f"Cancellation of {self.subscription_id}"
