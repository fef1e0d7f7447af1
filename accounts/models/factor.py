from datetime import timedelta
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.customer import Customer
from accounts.models.notice import Notice
from foundation.lines import one_line


class FactorRule(models.Model):
    """An owner's wish that all members of the customer have a second factor. While it stands, a member without one
    is led to set it up, and does nothing else with this customer.
    """

    customer = models.OneToOneField(Customer, models.CASCADE, related_name="factor_rule")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"Second factor for {self.customer}"


class FactorLift(models.Model):
    """A lost second factor that staff take off somebody's account, after a delay in which the person can stop it."""

    DELAY = timedelta(hours=24)

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="factor_lifts", verbose_name="person"
    )
    reason = models.CharField(
        max_length=500,
        validators=[one_line],
        help_text="How you know that it is them, and what happened. The person gets it by mail.",
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField()
    notice = models.ForeignKey(
        Notice, models.PROTECT, null=True, related_name="+", help_text="The mail that tells the person."
    )
    stopped_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "lost second factor"
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(stopped_at=None, done_at=None), name="factor_lift_pending_once"
            ),
            models.CheckConstraint(
                condition=Q(stopped_at=None) | Q(done_at=None), name="factor_lift_ends_one_way"
            ),
        ]

    def __str__(self) -> str:
        return f"Second factor of {self.user}"

    @property
    def status(self) -> str:
        """`pending`, then `stopped` or `done`."""
        return "done" if self.done_at else "stopped" if self.stopped_at else "pending"
