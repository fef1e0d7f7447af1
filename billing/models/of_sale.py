"""What belongs to an order or to a renewal: payments, pages at Stripe, invoices."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from billing.models.order import Order
    from billing.models.renewal import Renewal


def of_customer(customer: Any, prefix: str = "") -> Q:
    """Those of a customer, or of one to whom an expression leads; `prefix` leads to what is of a sale."""
    return Q((f"{prefix}order__customer", customer)) | Q(
        (f"{prefix}renewal__subscription__customer", customer)
    )


class OfSale(models.Model):
    order = models.ForeignKey("billing.Order", models.PROTECT, null=True, related_name="%(class)ss")
    renewal = models.ForeignKey("billing.Renewal", models.PROTECT, null=True, related_name="%(class)ss")

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(order=None, renewal__isnull=False) | Q(order__isnull=False, renewal=None),
                name="%(class)s_of_one_sale",
            ),
        ]

    @property
    def sale(self) -> "Order | Renewal":
        """What it is about; the database wants one of the two."""
        return self.order or self.renewal  # type: ignore[return-value]

    @property
    def sale_id(self) -> UUID | None:
        return self.order_id or self.renewal_id
