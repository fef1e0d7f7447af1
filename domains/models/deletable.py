"""What can be deleted, and had back for some days."""

from datetime import datetime, timedelta
from typing import Self, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

DELETED_KEPT = timedelta(days=30)  # how long what was deleted can be restored

Thing = TypeVar("Thing", bound=models.Model)


class DeletableQuerySet(models.QuerySet[Thing]):
    named_by: str  # the field that is unique among live ones

    def live(self) -> Self:
        return self.filter(deleted_at=None)

    def restorable(self) -> Self:
        """Deleted, and still to be had back."""
        return self.filter(deleted_at__gt=timezone.now() - DELETED_KEPT, purging_at=None)

    def named(self, name: str) -> Self:
        """At most one: the live one of this name, else the one that was deleted last and can be restored."""
        return self._of_name(name).order_by(F("deleted_at").desc(nulls_first=True))[:1]

    def to_restore(self, name: str, which: str = "") -> Self:
        """At most one: of those with this name the one with the id `which`; without an id what was deleted last
        and can be restored, else the live one.
        """
        found = self._of_name(name)
        if which:
            found = found.filter(pk=which) if _is_uuid(which) else found.none()
        return found.order_by(F("deleted_at").desc(nulls_last=True))[:1]

    def _of_name(self, name: str) -> Self:
        kept = Q(deleted_at=None) | Q(deleted_at__gt=timezone.now() - DELETED_KEPT, purging_at=None)
        return self.filter(kept, **{self.named_by: name})


class Deletable(models.Model):
    """Deleted by a verb that only notes it; from `purging_at` on there is no way back."""

    deleted_at = models.DateTimeField(null=True, editable=False)
    purging_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True

    @property
    def restorable_until(self) -> datetime | None:
        return self.deleted_at + DELETED_KEPT if self.deleted_at else None

    def refuse_past_its_days(self) -> None:
        """Raise ValidationError (code `purged`) when what was deleted cannot be had back any more."""
        over = self.restorable_until is not None and self.restorable_until < timezone.now()
        if over or self.purging_at:
            raise ValidationError("Its 30 days are over, and its mail has been removed.", code="purged")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
