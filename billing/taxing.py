"""The tax of this installation: its settings and rates, put to `billing.tax`."""

import logging
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from billing.models.tax import known_rates
from billing.tax import BuyerTax, NoRate, SellerTax, TaxDecision, tax_for

if TYPE_CHECKING:
    from accounts.models import Customer, User

logger = logging.getLogger(__name__)


def seller() -> SellerTax:
    return SellerTax(settings.TAX, settings.SELLER_COUNTRY, settings.SELLER_POSTCODE, settings.TAX_OSS)


def decide(buyer: BuyerTax) -> TaxDecision:
    """What tax a sale to `buyer` bears today. ValidationError where a rate is missing, which staff have to enter."""
    own = seller()
    try:
        return tax_for(own, buyer, timezone.localdate(), known_rates() if own.is_on else ())
    except NoRate as error:
        logger.error("An order cannot be taxed: %s", error)
        text = "We cannot work out the tax for this country at the moment. Write to us, and we put it right."
        raise ValidationError({"country": text}) from error


def tax_open_sales_anew(customer: "Customer", *, by: "User | None") -> None:
    """Decide anew about orders and renewals for which nothing was paid, from the billing details as they are now.
    ValidationError as in `decide`. Call inside a unit of work.
    """
    from billing.models.billing_details import details_of
    from billing.models.order import Order
    from billing.models.renewal import Renewal

    if not settings.TAX:
        return
    orders = Order.objects.filter(customer=customer, payments=None).with_facts().order_by("pk")
    renewals = Renewal.objects.filter(subscription__customer=customer, payments=None, settled_at=None)
    if open_ones := [*(order for order in orders if order.is_open), *renewals]:
        decision = decide(details_of(customer).buyer)
        for sale in open_ones:
            sale.tax_anew(decision, by=by)
