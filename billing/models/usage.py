from django.db import models


class StorageUsage(models.Model):
    """How many bytes a customer's mailboxes take, as its mail servers last reported."""

    customer = models.OneToOneField("accounts.Customer", models.CASCADE, related_name="storage_usage")
    bytes_used = models.PositiveBigIntegerField()
    at = models.DateTimeField(help_text="When the reported state was true.")

    def __str__(self) -> str:
        return f"{self.customer}: {self.bytes_used} bytes"
