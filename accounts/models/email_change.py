from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class EmailChangeQuerySet(models.QuerySet[Any]):
    def pending(self) -> "EmailChangeQuerySet":
        """Neither done nor stopped, and not too old."""
        since = timezone.now() - EmailChange.LASTS
        return self.filter(done_at=None, stopped_at=None, at__gt=since)


class EmailChange(models.Model):
    """A wish to sign in with another address. It comes true once both the old and the new address have said yes."""

    LASTS = timedelta(days=3)

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="email_changes")
    old = models.EmailField(max_length=254)
    new = models.EmailField(max_length=254)
    at = models.DateTimeField(default=timezone.now)
    old_confirmed_at = models.DateTimeField(null=True)
    new_confirmed_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)

    objects = EmailChangeQuerySet.as_manager()

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(stopped_at=None, done_at=None), name="email_change_pending_once"
            ),
            models.CheckConstraint(
                condition=Q(done_at=None)
                | Q(stopped_at=None, old_confirmed_at__isnull=False, new_confirmed_at__isnull=False),
                name="email_change_done_with_both",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.old} to {self.new}"

    @property
    def ends_at(self) -> Any:
        return self.at + self.LASTS

    @property
    def status(self) -> str:
        """`pending`, then `done`, `stopped` or `expired`."""
        if self.done_at:
            return "done"
        if self.stopped_at:
            return "stopped"
        return "pending" if self.ends_at > timezone.now() else "expired"
