"""What stands in the DNS of domains: proofs of ownership, DKIM keys, and what was last seen there."""

from secrets import token_hex
from typing import Any
from uuid import uuid4

from django.db import models
from django.utils import timezone

from accounts.models import Customer
from foundation.encryption import EncryptedTextField


class OwnershipKey(models.Model):
    """The name under which a customer proves domains: TXT `_da-verify-<token>.<domain>`. One for all its
    domains.
    """

    customer = models.OneToOneField(Customer, models.CASCADE, primary_key=True, related_name="ownership_key")
    token = models.CharField(max_length=32, unique=True, editable=False)

    def __str__(self) -> str:
        return self.label

    @classmethod
    def of(cls, customer: Customer) -> "OwnershipKey":
        """The customer's key, made at the first call."""
        return cls.objects.get_or_create(customer=customer, defaults={"token": token_hex(16)})[0]

    @property
    def label(self) -> str:
        return f"_da-verify-{self.token}"


class DkimKey(models.Model):
    """A domain's key for signing (RFC 6376): the private half encrypted here, and otherwise only on its mail
    server.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    domain = models.ForeignKey("domains.Domain", models.CASCADE, related_name="dkim_keys")
    selector = models.CharField(max_length=32, default="k1")
    private_key = EncryptedTextField(editable=False)
    public_key = models.TextField(help_text="SubjectPublicKeyInfo, DER in base64: the p= of the DNS record.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["domain", "selector"], name="dkim_selector_once")]

    def __str__(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


class DnsCheck(models.Model):
    """What DNS said at the last look: `found` maps a record's kind to its state and what was there."""

    domain = models.OneToOneField(
        "domains.Domain", models.CASCADE, primary_key=True, related_name="dns_check"
    )
    found: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField(default=dict)
    checked_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"DNS of {self.domain}"
