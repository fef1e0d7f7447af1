"""How full a customer's plan is, for pages of apps below this one: ``{% load plan_storage %}``."""

from django import template

from accounts.models import Customer
from billing.entitlements import Storage, storage

register = template.Library()


@register.simple_tag
def storage_of(customer: Customer) -> Storage | None:
    """`{% storage_of customer as storage %}`; None without a running service."""
    return storage(customer)
