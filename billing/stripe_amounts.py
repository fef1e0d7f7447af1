"""Amounts as Stripe counts them, which is not always as `billing.money` does (https://docs.stripe.com/currencies).

Stripe takes whole numbers of a unit of its own for each currency, of some only round ones, and none that are too small.
"""

from billing.money import minor_digits

_WHOLE = frozenset(
    {
        "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
    }
)  # fmt: skip
_THOUSANDTHS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
# Digits after the decimal point where they are not two. UGX and ISK have none either, but Stripe counts them in hundredths.
_DIGITS = {**dict.fromkeys(_WHOLE, 0), **dict.fromkeys(_THOUSANDTHS, 3)}
_ROUND = {"ISK": 100, "UGX": 100, **dict.fromkeys(_THOUSANDTHS, 10)}
# The least that a card can be charged, in Stripe's units; of other currencies Stripe names none.
_LEAST = {
    **dict.fromkeys(("AUD", "BRL", "CAD", "CHF", "EUR", "INR", "JPY", "NZD", "SGD", "USD"), 50),
    "AED": 200, "BGN": 100, "CZK": 1500, "DKK": 250, "GBP": 30, "HKD": 400, "HUF": 17500, "MXN": 1000, "MYR": 200,
    "NOK": 300, "PLN": 200, "RON": 200, "SEK": 300, "THB": 1000,
}  # fmt: skip


def to_stripe(minor: int, currency: str) -> int:
    """In Stripe's units; ValueError for an amount that cards cannot pay exactly."""
    amount, odd = _scaled(minor, _DIGITS.get(currency, 2) - minor_digits(currency))
    if odd or amount % _ROUND.get(currency, 1):
        raise ValueError(f"Stripe takes no such amount in {currency}.")
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """In our minor units, rounded down."""
    return _scaled(amount, minor_digits(currency) - _DIGITS.get(currency, 2))[0]


def takes(minor: int, currency: str) -> bool:
    """Whether a card can pay this amount."""
    try:
        return to_stripe(minor, currency) >= _LEAST.get(currency, 1)
    except ValueError:
        return False


def least(currency: str) -> int:
    """The smallest amount that cards can pay, in our minor units."""
    return max(1, from_stripe(_LEAST.get(currency, 1), currency))


def _scaled(number: int, digits: int) -> tuple[int, int]:
    """`number` times ten to the `digits`, and what is left over."""
    return (number * 10**digits, 0) if digits >= 0 else divmod(number, 10**-digits)
