"""Objects with every field that the library's classes declare, so that nobody relies on one that Stripe does not send."""

from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

import stripe

# Declared, and sent only where a request expands them, or of things that were deleted.
_ONLY_EXPANDED = frozenset(
    {
        "deleted", "line_items", "sources", "subscriptions", "tax", "tax_ids", "cash_balance", "invoice_credit_balance",
        "refunds", "currency_options", "tiers",
    }
)  # fmt: skip


def shape(kind: type[stripe.StripeObject], **values: Any) -> dict[str, Any]:
    """An object of `kind`: what is not given is null where the class allows that. LookupError where it does not, and
    for a field that the class has not: then the stand-in is wrong.
    """
    its_class: Any = kind
    fields = _fields_of(its_class)
    if unknown := values.keys() - fields.keys():
        raise LookupError(f"{kind.__name__} has no {', '.join(sorted(unknown))}.")
    nothing = {name: None for name, may_lack in fields.items() if may_lack and name not in _ONLY_EXPANDED}
    if missing := fields.keys() - values.keys() - {name for name, may_lack in fields.items() if may_lack}:
        raise LookupError(f"{kind.__name__} needs {', '.join(sorted(missing))}.")
    return nothing | values


@cache
def _fields_of(kind: Any) -> dict[str, bool]:
    """Name → whether it may be null. Of the details of each kind of payment method none is sent but those of its own."""
    hints = {
        name: hint
        for name, hint in kind.__annotations__.items()
        if not name.startswith("_") and "ClassVar" not in str(hint)
    }
    kinds = set(_words(hints["type"])) if kind is stripe.PaymentMethod else set()
    return {
        name: type(None) in get_args(hint) for name, hint in hints.items() if name not in kinds - {"card"}
    }


def _words(hint: Any) -> list[Any]:
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [word for part in get_args(hint) for word in _words(part)] if get_origin(hint) is Union else []
