"""Finds personal data in a text that is about to be published: the customer's, and whatever looks like anybody's."""

import re
import unicodedata
from collections.abc import Iterator

from billing.models import Order
from billing.plain_words import plain_digits, plain_words

_SHORTEST = 5  # shorter ones ("Test", "York") would be found in sentences that mean nobody
_SURNAME = 4
_MAIL = re.compile(r"\S@[^\s@]+\.\w", re.UNICODE)
_NETWORK = re.compile(
    r"(?<![\w.])\d{1,3}(\.\d{1,3}){3}(?![\w.])|(?i:(?<![\w:])[0-9a-f]{1,4}(:[0-9a-f]{0,4}){3,7}(?!\w))"
)
_NUMBER = re.compile(r"\+?\d(?:[\s().\-/]?\d){8,}")  # phone, card, account
_DATE = re.compile(r"\b\d{4}-\d\d?-\d\d?\b")  # dates are no numbers of anybody
_SPELT_OUT = frozenset({"at", "dot"})  # anna at example dot test
_SENTENCE_ENDS = ".!?:\n"


def find_personal_data(text: str, order: Order) -> str:
    """What personal data stands in `text`, in words for an error ("the customer's name"); empty when none is found.

    Of the person behind `order` case, accents, punctuation and spacing hide nothing; phone numbers are compared by
    their digits. Besides, anything that looks like an address of mail or network, or a long number, of whomever.
    """
    text = unicodedata.normalize("NFKC", "".join(sign for sign in text if unicodedata.category(sign) != "Cf"))
    words = plain_words(text)
    unspelt = " ".join(word for word in words.split() if word not in _SPELT_OUT)
    phone = plain_digits(order.phone).lstrip("0")
    if len(phone) >= 6 and phone in plain_digits(text):
        return "the customer's phone number"
    for what, value in _parts(order):
        part = plain_words(value)
        if len(part) >= _SHORTEST and (f" {part} " in f" {words} " or f" {part} " in f" {unspelt} "):
            return f"the customer's {what}"
    if _names_surname(text, order.name):
        return "the customer's name"
    for what, pattern in (
        ("an e-mail address", _MAIL),
        ("a network address", _NETWORK),
        ("a long number", _NUMBER),
    ):
        if pattern.search(_DATE.sub(" on ", text)):
            return what
    return ""


def _names_surname(text: str, name: str) -> bool:
    """Whether the last word of `name` stands in the text as a name is written: capitalised within a sentence, or in
    capitals. In small letters, or at a sentence's beginning, it may be an ordinary word (Long, Young, Reported).
    """
    surname = plain_words(name).rpartition(" ")[2]
    if len(surname) < _SURNAME:
        return False
    for found in re.finditer(r"[^\W\d_]+", text):
        word, before = found[0], text[: found.start()].rstrip(" \t\r\"'(")
        if plain_words(word) == surname and word[0].isupper():
            inside = before and before[-1] not in _SENTENCE_ENDS
            if inside or word.isupper():
                return True
    return False


def _parts(order: Order) -> Iterator[tuple[str, str]]:
    yield "e-mail address", order.email
    yield "name", order.name
    yield "name", " ".join(reversed(order.name.split()))
    yield "company", order.company
    for address in (order.street, order.postcode, order.city, order.region):
        yield "address", address
    yield "domain", order.domain
    yield "network address", order.client_address or ""
