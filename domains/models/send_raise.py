"""Send limits that staff raised for a time, and what a page says of sending."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from domains.models.sending import hour_of, in_force, plan_sends
from foundation.lines import one_line
from foundation.unit_of_work import unit_of_work


class SendRaise(models.Model):
    """A send limit that staff raised for a time."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    mailbox = models.ForeignKey("domains.Mailbox", models.CASCADE, related_name="send_raises")
    sends_per_day = models.PositiveIntegerField("recipients a day")
    until = models.DateTimeField(help_text="Ends by itself then.")
    reason = models.CharField(
        max_length=500, validators=[one_line], help_text="The customer reads it on the page of changes."
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    at = models.DateTimeField(default=timezone.now, editable=False)
    lifted_at = models.DateTimeField(null=True, editable=False)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )

    class Meta:
        verbose_name = "raised send limit"
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(fields=["mailbox"], condition=Q(lifted_at=None), name="sends_raised_once")
        ]

    def __str__(self) -> str:
        return f"{self.mailbox}: {self.sends_per_day} a day until {self.until:%d %b %Y, %H:%M}"

    def end(self, *, by: User | None) -> bool:
        """End it before its time; false when it is over."""
        with unit_of_work():
            ended = {"lifted_at": timezone.now(), "lifted_by": by}
            if not SendRaise.objects.filter(pk=self.pk, lifted_at=None).update(**ended):
                return False
            self.mailbox.record("mailbox.raise_end", by)
        return True


class Room(NamedTuple):
    """What a mailbox sent in an hour or a day, against its limit."""

    label: str
    sent: int
    limit: int
    rolls_at: datetime | None

    @property
    def left(self) -> int:
        return max(0, self.limit - self.sent)


class SendingNow(NamedTuple):
    """What the page of a mailbox shows of its sending."""

    day: Room
    hour: Room
    raised: SendRaise | None

    @property
    def windows(self) -> tuple[Room, Room]:
        return self.day, self.hour


def sending_of(mailbox: Any) -> SendingNow:
    """As it is now, in two queries."""
    raised, plan, own = mailbox.send_raise, plan_sends(mailbox.customer), mailbox.sends_per_day
    limit = in_force(plan, own, raised.sends_per_day if raised else None)
    day, hour = mailbox.sent, mailbox.sent_this_hour
    return SendingNow(
        Room("Recipients in 24 hours", day, limit, mailbox.day_rolls_at if day else None),
        Room("Recipients in an hour", hour, hour_of(limit), mailbox.hour_rolls_at if hour else None),
        raised,
    )
