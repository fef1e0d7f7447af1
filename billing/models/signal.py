"""What we ourselves noticed about an order, beside FraudRecord."""

from django.db import models
from django.db.models import Q
from django.utils import timezone


class SignalKind(models.TextChoices):
    NETWORK = "network", "Network"
    ADDRESS = "address", "Address"
    PHONE = "phone", "Phone"
    COMPANY = "company", "Company"
    PAYMENT = "payment", "Payment"
    DISPOSABLE = "disposable", "Disposable mail"
    RESERVED = "reserved", "Reserved name"
    DOMAIN = "domain", "Known domain"
    COUNTRY = "country", "Country"
    SPEED = "speed", "Speed"


# Those that send an order which FraudRecord finds clean to a person; the others are shown and decide nothing.
DECIDING = frozenset(
    {
        SignalKind.NETWORK,
        SignalKind.ADDRESS,
        SignalKind.PHONE,
        SignalKind.COMPANY,
        SignalKind.PAYMENT,
        SignalKind.DISPOSABLE,
        SignalKind.RESERVED,
    }
)


class OrderSignal(models.Model):
    """One signal found for an order, with the line that explains it to staff. None refuses an order."""

    order = models.ForeignKey("billing.Order", models.CASCADE, related_name="signals")
    kind = models.CharField(max_length=10, choices=SignalKind.choices)
    text = models.CharField(max_length=300)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["order", "kind"], name="order_signal_once"),
            models.CheckConstraint(condition=Q(kind__in=SignalKind.values), name="order_signal_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.text}"

    @property
    def decides(self) -> bool:
        """Whether it sends the order to a person."""
        return self.kind in DECIDING


class OrderTrait(models.Model):
    """Something of an order by which others are recognised; `key` is equal where the thing is."""

    order = models.ForeignKey("billing.Order", models.CASCADE, related_name="traits")
    kind = models.CharField(max_length=10, choices=SignalKind.choices)
    key = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["kind", "key"], name="order_trait_key")]
        constraints = [
            models.UniqueConstraint(fields=["order", "kind", "key"], name="order_trait_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.order_id}"
