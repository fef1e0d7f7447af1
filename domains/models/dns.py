"""What stands in the DNS of domains: proofs of ownership, DKIM keys, and what was last seen there."""

from datetime import timedelta
from secrets import token_hex
from typing import Any
from uuid import uuid4

from django.db import models
from django.utils import timezone

from accounts.models import Customer
from foundation.encryption import EncryptedTextField

ALERTS_KEPT = timedelta(days=365)


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
    """What DNS said at the last look: `found` maps a record's kind to what `domains.dns_watch` keeps of it. `told` are
    "<kind> <state>" that people were alerted to, until all is well again.
    """

    domain = models.OneToOneField(
        "domains.Domain", models.CASCADE, primary_key=True, related_name="dns_check"
    )
    found: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField(default=dict)
    zone = models.CharField(max_length=253, blank=True, help_text="The zone that holds the domain.")
    nameservers: "models.JSONField[list[str], list[str]]" = models.JSONField(default=list)
    checked_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(default=timezone.now, db_index=True)
    pending_since = models.DateTimeField(null=True)
    told: "models.JSONField[list[str], list[str]]" = models.JSONField(default=list)
    asked = models.PositiveIntegerField(default=0, help_text="How often people asked since asked_since.")
    asked_since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"DNS of {self.domain}"

    @property
    def age(self) -> str:
        return in_short(timezone.now() - self.checked_at) if self.checked_at else ""

    @property
    def next_in(self) -> str:
        return in_short(self.next_at - timezone.now())


class DnsAlert(models.Model):
    """One change that the people of a domain are told of: `problems` [{title, label, note}], none when all is well
    again.
    """

    domain = models.ForeignKey("domains.Domain", models.CASCADE, related_name="dns_alerts")
    at = models.DateTimeField(default=timezone.now)
    problems: "models.JSONField[list[dict[str, str]], list[dict[str, str]]]" = models.JSONField(default=list)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"DNS of {self.domain} at {self.at:%Y-%m-%d %H:%M}"


def forget_old_alerts() -> int:
    """Forget alerts that are older than ALERTS_KEPT; how many."""
    return DnsAlert.objects.filter(at__lt=timezone.now() - ALERTS_KEPT).delete()[0]


def in_short(span: timedelta) -> str:
    """12 s, 3 min, 5 h or 2 days; never negative."""
    seconds = max(0, round(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3_600:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3_600)} h" if seconds < 48 * 3_600 else f"{round(seconds / 86_400)} days"
