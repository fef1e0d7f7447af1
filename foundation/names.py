"""Domain names and local parts in the one form in which they are stored and compared."""

import re
import unicodedata

import idna
from django.core.exceptions import ValidationError

LOCAL_PART = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def normalise_domain(text: str) -> str:
    """Return `text` as a lower-case A-label name without a trailing dot (IDNA 2008, RFC 5891; UTS 46 mapping).

    Raises ValidationError when it is not a host name of at least two labels and at most 253 characters.
    """
    name = unicodedata.normalize("NFC", text.strip())
    name = name[:-1] if name.endswith(".") else name
    if len(name) > 253:
        raise ValidationError("A domain name has at most 253 characters.", code="domain_long")
    try:
        ascii_name = idna.encode(name, uts46=True).decode("ascii") if not name.isascii() else name.lower()
    except idna.IDNAError as error:
        raise ValidationError(
            "This is not a domain name. Enter one like example.com.", code="domain"
        ) from error
    labels = ascii_name.split(".")
    well_formed = (
        len(ascii_name) <= 253 and len(labels) >= 2 and all(_LABEL.fullmatch(label) for label in labels)
    )
    if not well_formed or labels[-1].isdigit() or not _punycode_is_valid(labels):
        raise ValidationError("This is not a domain name. Enter one like example.com.", code="domain")
    return ascii_name


def _punycode_is_valid(labels: list[str]) -> bool:
    try:
        for label in labels:
            if label.startswith("xn--"):
                idna.decode(label)
    except idna.IDNAError:
        return False
    return True


def normalise_local_part(text: str) -> str:
    """Return `text` lower-cased; ValidationError unless it is 1–64 of `a-z 0-9 . _ -`, begins and ends with a
    letter or digit, and has no two dots in a row. `+` is only the tag separator and never part of a name.
    """
    name = text.strip().lower()
    if not LOCAL_PART.fullmatch(name) or ".." in name:
        raise ValidationError(
            "Use 1 to 64 letters, digits, dots, hyphens or underscores, beginning and ending with a letter or digit.",
            code="local_part",
        )
    return name
