from uuid import uuid4

from django.conf import settings
from django.db import models
from django.utils import timezone


class AuditEntry(models.Model):
    """Who changed what, when and from where. Written beside the change, in its transaction; never a secret."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    action = models.CharField(max_length=60, help_text="noun.verb, for example mailbox.add")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="+",
        help_text="Empty: the system itself.",
    )
    by_staff = models.BooleanField(
        "as staff", default=False, help_text="By staff who did not belong to the customer then."
    )
    customer = models.ForeignKey("accounts.Customer", models.CASCADE, null=True, related_name="audit_entries")
    subject = models.CharField(max_length=300, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["customer", "-at"], name="audit_of_customer")]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"
