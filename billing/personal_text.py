"""Finds an order's personal data in a text that is about to be published."""

from collections.abc import Iterator

from billing.models import Order
from billing.plain_words import plain_digits, plain_words

_SHORTEST = 5  # shorter ones ("Test", "York") would be found in sentences that mean nobody


def find_personal_data(text: str, order: Order) -> str:
    """What of the person behind `order` stands in `text`, in words for an error; empty when nothing does.

    Case, accents, punctuation and spacing do not hide it; phone numbers are compared by their digits.
    """
    words = plain_words(text)
    phone = plain_digits(order.phone).lstrip("0")
    if len(phone) >= 6 and phone in plain_digits(text):
        return "phone number"
    for what, value in _parts(order):
        part = plain_words(value)
        if len(part) >= _SHORTEST and f" {part} " in f" {words} ":
            return what
    return ""


def _parts(order: Order) -> Iterator[tuple[str, str]]:
    yield "e-mail address", order.email
    yield "name", order.name
    yield "name", " ".join(reversed(order.name.split()))
    yield "company", order.company
    for address in (order.street, order.postcode, order.city, order.region):
        yield "address", address
    yield "domain", order.domain
    yield "network address", order.client_address or ""
