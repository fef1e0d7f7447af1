"""The switch between a person's customers, in the head of every page."""

from typing import Any

from django import template

register = template.Library()

SHOWN = 8  # whoever has more finds the others by searching on the home page


@register.inclusion_tag("partials/customer_switch.html", takes_context=True)
def customer_switch(context: template.Context) -> dict[str, Any]:
    """The person's customers, in one query; nothing for whoever has only one, or on pages of staff."""
    request = context.get("request")
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or getattr(request, "is_staff_page", False):
        return {}
    found = list(user.customers.order_by("username").only("username", "name")[: SHOWN + 1])
    return {
        "customers": found[:SHOWN] if len(found) > 1 else [],
        "more": len(found) > SHOWN,
        "present": getattr(request, "customer", None),
    }
