from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone


class OrderDraft(models.Model):
    """An order that a person began and has not sent: what they entered, as it was entered, by the form's field names.

    It waits on whatever device they sign in. One a person; placing an order ends it, and 30 days do.
    """

    KEPT = timedelta(days=30)

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="order_draft")
    fields = models.JSONField()
    saved_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"Draft of {self.user_id}"

    @property
    def ends_at(self) -> object:
        return self.saved_at + self.KEPT


def forget_old_drafts() -> int:
    """Erase drafts past their 30 days; returns how many."""
    return OrderDraft.objects.filter(saved_at__lt=timezone.now() - OrderDraft.KEPT).delete()[0]
