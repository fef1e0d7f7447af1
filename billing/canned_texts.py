"""Canned texts of the review desk: their placeholders, checked when a text is saved and filled in for an order."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError

if TYPE_CHECKING:
    from billing.models import Order

LONGEST = 2000  # characters of a question or reason
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

PLACEHOLDERS: dict[str, Callable[[Any], str]] = {
    "name": lambda order: order.name,
    "company": lambda order: order.company or order.name,
    "number": lambda order: order.number,
    "plan": lambda order: order.plan.name,
    "price": lambda order: order.total,
    "domain": lambda order: order.domain or "your domain",
    "username": lambda order: order.customer.username,
    "email": lambda order: order.email,
    "product": lambda order: str(settings.PRODUCT_NAME),
}
KNOWN = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)


def check_placeholders(text: str) -> None:
    """ValidationError for a placeholder that is not known, or a brace that stands alone."""
    unknown = [f"{{{name}}}" for name in _PLACEHOLDER.findall(text) if name not in PLACEHOLDERS]
    if unknown:
        raise ValidationError(f"There is no placeholder {', '.join(unknown)[:200]}. There are: {KNOWN}.")
    if re.search(r"[{}]", _PLACEHOLDER.sub("", text)):
        raise ValidationError(f"A brace stands alone. Braces are for placeholders: {KNOWN}.")


def fill(text: str, order: "Order") -> str:
    """The text for this order; at most LONGEST characters."""
    filled = _PLACEHOLDER.sub(
        lambda found: PLACEHOLDERS[found[1]](order) if found[1] in PLACEHOLDERS else found[0], text
    )
    return filled[:LONGEST]
