"""A copy of what is held about a person, made for them."""

from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts.models.mailed_link import MailedLink
from foundation.encryption import EncryptedTextField


class DataExport(MailedLink):
    """Asked for, made by a worker, fetched once by the link that is mailed. Its content stands in parts, encrypted."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="data_exports")
    asked_at = models.DateTimeField(default=timezone.now)
    made_at = models.DateTimeField(null=True)
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes of the ZIP.")
    fetched_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-asked_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(fetched_at=None), name="data_export_one_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"Data of {self.user}"

    @property
    def status(self) -> str:
        """`making`, `ready`, then `fetched` or `expired`."""
        if self.fetched_at:
            return "fetched"
        if self.made_at is None:
            return "making"
        return "expired" if self.has_expired else "ready"

    @property
    def link(self) -> str:
        """What its mail leads to."""
        return settings.PANEL_URL + reverse("accounts:data-export", args=[self.secret])


class DataExportPart(models.Model):
    """A piece of the ZIP: base85 of its bytes, encrypted."""

    belongs_to = models.ForeignKey(DataExport, models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    content = EncryptedTextField()

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["belongs_to", "number"], name="data_export_part_once"),
        ]

    def __str__(self) -> str:
        return f"Part {self.number} of {self.belongs_to_id}"
