from abc import abstractmethod
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import Customer


class HostedPage(models.Model):
    """A page at Stripe where a person enters a card, from our asking for it until nobody can use it any more."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    session = models.CharField(
        max_length=100, blank=True, help_text="Stripe's id; empty until Stripe answered."
    )
    url = models.TextField(blank=True, editable=False)
    ended_at = models.DateTimeField(
        null=True, help_text="From when on nobody can pay there; empty: it is open."
    )
    looks = models.PositiveSmallIntegerField(default=0)
    looked_at = models.DateTimeField(null=True, help_text="When Stripe was last asked about it for a person.")
    next_look_at = models.DateTimeField(
        null=True, default=timezone.now, help_text="When Stripe is asked about it."
    )

    is_dropped = models.BooleanField(
        default=False,
        help_text="Nobody is to use it any more: it is ended when Stripe is next asked about it.",
    )

    class Meta:
        abstract = True

    @property
    @abstractmethod
    def of(self) -> Customer:
        """Whose card it takes."""
