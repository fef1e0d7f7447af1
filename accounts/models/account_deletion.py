"""A person's wish that their account be deleted."""

from datetime import timedelta
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts.models.mailed_link import MailedLink


class AccountDeletionQuerySet(models.QuerySet["AccountDeletion"]):
    def pending(self) -> "AccountDeletionQuerySet":
        """Neither carried out nor stopped."""
        return self.filter(done_at=None, stopped_at=None)


class AccountDeletion(MailedLink):
    """Asked for by the person, to be stopped by them for some days, then carried out. Its link is for stopping."""

    DELAY = timedelta(days=7)

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="account_deletions")
    at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)
    hindered = models.BooleanField(default=False, help_text="Stopped by us: something came in the way.")
    done_at = models.DateTimeField(null=True)
    address = models.EmailField(
        max_length=254, blank=True, help_text="Where the last mail goes; forgotten when it went."
    )

    objects = AccountDeletionQuerySet.as_manager()

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(stopped_at=None, done_at=None),
                name="account_deletion_pending_once",
            ),
            models.CheckConstraint(
                condition=Q(stopped_at=None) | Q(done_at=None), name="account_deletion_ends_one_way"
            ),
        ]

    def __str__(self) -> str:
        return f"Deletion of {self.user}"

    @property
    def status(self) -> str:
        """`pending`, then `stopped` or `done`."""
        return "done" if self.done_at else "stopped" if self.stopped_at else "pending"

    @property
    def link(self) -> str:
        """What its mail leads to."""
        return settings.PANEL_URL + reverse("accounts:account-deletion", args=[self.secret])
