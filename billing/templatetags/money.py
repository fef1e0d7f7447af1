"""Amounts in templates: ``{% load money %}{{ plan.yearly_minor|amount:plan.currency }}`` gives ``59.00``."""

from django import template

from billing.money import format_amount, format_money

register = template.Library()


@register.filter
def amount(minor: int, currency: str) -> str:
    """An amount in its minor unit as digits."""
    return format_amount(minor, currency)


@register.filter
def money(minor: int, currency: str) -> str:
    """The same with its currency: ``59.00 USD``."""
    return format_money(minor, currency)
