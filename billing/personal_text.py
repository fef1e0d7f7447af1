"""Finds an order's personal data in a text that is about to be published."""

import re
import unicodedata
from collections.abc import Iterator

from billing.models import Order

_SHORTEST = 5  # shorter ones ("Test", "York") would be found in sentences that mean nobody


def find_personal_data(text: str, order: Order) -> str:
    """What of the person behind `order` stands in `text`, in words for an error; empty when nothing does.

    Case, accents, punctuation and spacing do not hide it; phone numbers are compared by their digits.
    """
    words = _words(text)
    digits = re.sub(r"\D", "", unicodedata.normalize("NFKC", text))
    phone = re.sub(r"\D", "", unicodedata.normalize("NFKC", order.phone)).lstrip("0")
    if len(phone) >= 6 and phone in digits:
        return "phone number"
    for what, value in _parts(order):
        part = _words(value)
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


def _words(text: str) -> str:
    """Lower case without accents, everything but letters and digits as single spaces."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return " ".join(re.findall(r"\w+", plain.casefold().replace("_", " ")))
