"""Amounts of money: integers of the currency's minor unit, shown and read as decimal text."""

import re
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

# Digits after the decimal point (ISO 4217) where they are not two.
_MINOR_DIGITS = {
    "JPY": 0,
    "KRW": 0,
    "ISK": 0,
    "CLP": 0,
    "VND": 0,
    "KWD": 3,
    "BHD": 3,
    "JOD": 3,
    "OMR": 3,
    "TND": 3,
}
_AMOUNT = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,3}))?")
_CURRENCY = re.compile(r"[A-Za-z]{3}")
MAX_MINOR = 2**31 - 1


class CurrencyField(models.CharField):
    """An ISO 4217 code of three capital letters; who enters small ones in a form means those."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_length": 3, "default": "USD", **kwargs})

    def clean(self, value: Any, model_instance: models.Model | None) -> str:
        code: str = super().clean(value, model_instance)
        if not _CURRENCY.fullmatch(code):
            raise ValidationError("Enter the three letters of a currency, such as USD.", code="currency")
        return code.upper()


def minor_digits(currency: str) -> int:
    """How many digits stand after the decimal point in `currency`."""
    return _MINOR_DIGITS.get(currency, 2)


def format_amount(minor: int, currency: str) -> str:
    """`5900, "USD"` → `"59.00"`: no grouping, a full stop, all digits of the minor unit."""
    digits = minor_digits(currency)
    if digits == 0:
        return str(minor)
    sign = "-" if minor < 0 else ""
    whole, part = divmod(abs(minor), 10**digits)
    return f"{sign}{whole}.{part:0{digits}d}"


def exact_amount(minor: int, currency: str) -> Decimal:
    """`5900, "USD"` → `Decimal("59.00")`: for programs, which read a number."""
    return Decimal(minor).scaleb(-minor_digits(currency))


def format_money(minor: int, currency: str) -> str:
    """`5900, "USD"` → `"59.00 USD"`."""
    return f"{format_amount(minor, currency)} {currency}"


def part_of(amount_minor: int, part: int, whole: int) -> int:
    """`part` of `whole` equal parts of an amount, none of them negative, rounded half up to the minor unit."""
    return (2 * amount_minor * part + whole) // (2 * whole)


def parse_amount(text: str, currency: str) -> int:
    """`"59.00", "USD"` → `5900`. ValidationError unless it is a positive decimal number with a full stop."""
    match = _AMOUNT.fullmatch(text.strip())
    digits = minor_digits(currency)
    if not match or len(match[2] or "") > digits:
        raise ValidationError(
            f"Enter the amount as {format_amount(5900, currency)}: digits and a full stop only."
        )
    minor = int(match[1]) * 10**digits + int((match[2] or "").ljust(digits, "0") or 0)
    if not 0 < minor <= MAX_MINOR:
        raise ValidationError("Enter an amount greater than zero, and one that a bank would transfer.")
    return minor
