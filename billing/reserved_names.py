"""Names by which somebody would pass for us: those of offices, and look-alikes of our own brand."""

import unicodedata
from collections.abc import Iterable

from django.conf import settings

from billing.plain_words import plain_words

OFFICES = frozenset({
    "abuse", "admin", "administrator", "billing", "hostmaster", "info", "mailerdaemon", "newsletter", "noc",
    "noreply", "postmaster", "root", "security", "staff", "support", "sysadmin", "system", "webmaster",
})  # fmt: skip
_SHORTEST_BRAND = 5  # of a shorter one too many words differ in one letter
# Latin letter -> what is taken for it: digits, and letters of Cyrillic and Greek (Unicode TR 39, "confusables").
_CONFUSABLE = {
    "a": "4аα", "b": "8в", "c": "с", "d": "ԁ", "e": "3еε", "h": "нһ", "j": "ј", "k": "кκ", "l": "1iіιӏ", "m": "м", "n": "η",
    "o": "0оο", "p": "рρ", "s": "5ѕ", "t": "7тτ", "u": "υ", "v": "ν", "x": "хχ", "y": "у",
}  # fmt: skip
_TAKEN_FOR = {ord(sign): letter for letter, signs in _CONFUSABLE.items() for sign in signs}


def reserved_reason(names: Iterable[str], domain: str) -> str:
    """Which of an order's names is reserved, in a line for staff; empty when none is."""
    for name in names:
        if skeleton(name) in {skeleton(office) for office in OFFICES}:
            return f"“{name}” is the name of an office, or looks like one."
    for name in [*names, _own_label(domain)]:
        if any(_looks_like(skeleton(name), brand) for brand in _brands()):
            return f"“{name}” looks like our own name."
    return ""


def skeleton(name: str) -> str:
    """`name` as the eye takes it: two with the same skeleton are easily confused."""
    plain = plain_words(unicodedata.normalize("NFKC", name)).replace(" ", "").translate(_TAKEN_FOR)
    return plain.replace("rn", "m").replace("vv", "w")


def _brands() -> set[str]:
    known = {skeleton(settings.PRODUCT_NAME), skeleton(_own_label(settings.MAIL_DOMAIN))}
    return {brand for brand in known if len(brand) >= _SHORTEST_BRAND}


def _own_label(domain: str) -> str:
    """What somebody chose of a domain: its longest label, as people read it."""
    label = max(domain.split(".")[:-1], key=len, default="")
    if label.startswith("xn--"):
        label = label.removeprefix("xn--").encode("ascii").decode("punycode")
    return label


def _looks_like(name: str, brand: str) -> bool:
    """Whether `name` holds the brand, or differs from it in one letter."""
    return brand in name or _is_one_letter_off(name, brand)


def _is_one_letter_off(one: str, two: str) -> bool:
    """Changed, left out, put in, or swapped with its neighbour."""
    short, long = sorted((one, two), key=len)
    if len(long) - len(short) > 1:
        return False
    start = next(
        (n for n, pair in enumerate(zip(short, long, strict=False)) if pair[0] != pair[1]), len(short)
    )
    rest, longer = short[start:], long[start:]
    if len(short) != len(long):
        return rest == longer[1:]
    swapped = rest[:2] == longer[:2][::-1] and rest[2:] == longer[2:]
    return rest[1:] == longer[1:] or swapped
