"""How one record is: what was found, compared by meaning with what should be there."""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    OK = "ok"
    MISSING = "missing"
    DIFFERENT = "different"  # there is one, and it does not do what ours would
    DUPLICATE = "duplicate"  # the right one, more than once
    CONFLICT = "conflict"  # the right one beside others that take its place
    INSECURE = "insecure"  # it lets everybody in
    UNCHECKED = "unchecked"  # nobody could be asked: says nothing about the record


LABELS = {
    State.OK: "Published",
    State.MISSING: "Not found",
    State.DIFFERENT: "Different",
    State.DUPLICATE: "Twice",
    State.CONFLICT: "Conflict",
    State.INSECURE: "Insecure",
    State.UNCHECKED: "Not checked",
}
PUBLISH = "Publish this record, then check again."


class Verdict(NamedTuple):
    """`found`: the records that count, as published; foreign ones are left out. `note`: what to do, in one
    sentence. `fix`: the value to publish instead of what is there, where it is not simply ours.
    """

    state: State
    found: list[str]
    note: str = ""
    fix: str = ""


def tags(text: str) -> dict[str, str]:
    """The tags of a `tag=value; tag=value` record (RFC 6376, 3.2), in their order, names in lower case, white
    space left out of values.
    """
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip().lower(): "".join(value.split()) for name, _, value in pairs}


def typing_slip(text: str) -> str:
    """What a DNS host's form has left in a TXT value that belongs to the notation, not to the record; else ""."""
    if "\\" in text:
        return "Backslashes were published with it: enter the value without them."
    if text.strip().startswith('"'):
        return "Quotation marks were published with it: enter the value without them."
    return ""
