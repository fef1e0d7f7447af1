from django.db import models
from django.db.models import Q

from accounts.models import Stop, SuspensionBase


class MailboxSuspension(SuspensionBase):
    """A mailbox stopped, wholly or in part, by its customer or by staff."""

    mailbox = models.ForeignKey("domains.Mailbox", models.CASCADE, related_name="suspensions")
    by_staff = models.BooleanField(default=False, help_text="Only staff lift or replace it.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["mailbox"], condition=Q(lifted_at=None), name="mailbox_suspended_once"
            ),
        ]

    def __str__(self) -> str:
        return f"Suspension of {self.mailbox}"

    @property
    def stops_text(self) -> str:
        return ", ".join(str(Stop(stop).label) for stop in self.stops)
