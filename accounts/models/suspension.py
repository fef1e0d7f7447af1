from typing import Any
from uuid import uuid4

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.text import get_text_list

from foundation.lines import one_line


class Stop(models.TextChoices):
    """What a suspension stops."""

    SIGN_IN = "sign_in", "signing in"
    SEND = "send", "sending"
    RECEIVE = "receive", "receiving"


class SuspensionCause(models.TextChoices):
    """Why a customer is stopped."""

    STAFF = "staff", "By staff"
    UNPAID = "unpaid", "An invoice is not paid"


class SuspensionQuerySet(models.QuerySet[Any]):
    def in_force(self) -> "SuspensionQuerySet":
        """Not lifted and not past its end."""
        return self.filter(lifted_at=None).filter(Q(until=None) | Q(until__gt=timezone.now()))


class SuspensionBase(models.Model):
    """A suspension of something: what it stops, why, by whom, and until when. A row of its own, so that
    lifting it brings everything below back exactly as it was.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    stops = ArrayField(models.CharField(max_length=8, choices=Stop.choices))
    reason = models.CharField(
        max_length=500,
        validators=[one_line],
        help_text="Shown to the customer, also in replies of the mail server.",
    )
    until = models.DateTimeField(
        null=True, blank=True, help_text="Ends by itself then; empty: until it is lifted."
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = SuspensionQuerySet.as_manager()

    class Meta:
        abstract = True

    @property
    def in_force(self) -> bool:
        return self.lifted_at is None and (self.until is None or self.until > timezone.now())

    @property
    def stops_text(self) -> str:
        return get_text_list([str(stop.label) for stop in Stop if stop in self.stops], "and")
