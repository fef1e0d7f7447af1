"""Orders of one customer with their invoices, issued and posted as the panel does it."""

from datetime import date, timedelta

from django.utils import timezone

from accounts.models import Customer, User
from billing import invoicing
from billing.models import Invoice
from foundation.unit_of_work import unit_of_work
from tests.test_census import order_of


def invoice_of(customer: Customer, owner: User) -> Invoice:
    with unit_of_work():
        return invoicing.issue_invoice(order_of(customer, owner))


def invoices_of(customer: Customer, owner: User, count: int) -> list[Invoice]:
    """Oldest first."""
    return [invoice_of(customer, owner) for _ in range(count)]


def due_on() -> date:
    """Of what is issued today."""
    return timezone.localdate() + timedelta(days=14)
