"""What of an order is compared with others: its network, address, phone, company and payment references."""

import hashlib
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from billing.plain_words import plain_digits, plain_words
from foundation.limits import network_of

# Forms of companies, which one writes and another leaves out.
_LEGAL_FORMS = frozenset({
    "ag", "as", "bv", "co", "corp", "corporation", "eurl", "gmbh", "inc", "kg", "limited", "llc", "ltd",
    "ltda", "mbh", "nv", "oy", "plc", "pty", "pvt", "sa", "sarl", "sas", "sl", "spa", "srl", "ug",
})  # fmt: skip
_SHORTEST_PHONE = 7
_SHORTEST_REFERENCE = 6  # "R1" or "May" stands on everybody's transfers


def traits_of(order: Any) -> Iterator[tuple[str, str]]:
    """(kind of signal, key) of everything that stands in the order itself; what is too short to mean somebody is
    left out.
    """
    yield from _trait("network", network(order.client_address))
    street, postcode = plain_words(order.street), plain_words(order.postcode)
    yield from _trait("address", f"{street}|{postcode}|{order.country}" if street and postcode else "")
    phone = plain_digits(order.phone).lstrip("0")
    # With the code of the country or without it: the last nine digits are the same.
    yield from _trait("phone", phone[-9:] if len(phone) >= _SHORTEST_PHONE else "")
    company = [word for word in plain_words(order.company).split() if word not in _LEGAL_FORMS]
    yield from _trait("company", "".join(company))


def payment_trait(reference: str) -> Iterator[tuple[str, str]]:
    """The same of the reference of a payment."""
    plain = plain_words(reference).replace(" ", "")
    yield from _trait("payment", plain if len(plain) >= _SHORTEST_REFERENCE else "")


def network(address: str | None) -> str:
    """The /24 or /48 of a public address; empty for others, which many unrelated people come from."""
    if not address:
        return ""
    parsed = ip_address(address)
    is_public = (getattr(parsed, "ipv4_mapped", None) or parsed).is_global
    return network_of(address) if is_public else ""


def _trait(kind: str, text: str) -> Iterator[tuple[str, str]]:
    if text:
        yield kind, hashlib.sha256(text.encode()).hexdigest()  # bounds the length; it hides nothing
