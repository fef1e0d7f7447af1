"""Proof that a customer controls a domain: TXT `_da-verify-<32 hex>.<domain>` with the value
`domain-verified`.
"""

from enum import Enum
from secrets import token_hex
from typing import Any, NamedTuple

from domains.dns.resolver import Resolver, Unchecked
from domains.dns.verdict import State

VALUE = "domain-verified"
AGAIN = 2.0  # seconds for looking at a proof that was given


class Result(Enum):
    """How an attempt to prove ended; the value stands in `data-result`."""

    PROVED = "proved"
    MISSING = "missing"
    UNCHECKED = "unchecked"


class Proof(NamedTuple):
    result: Result
    why: str = ""  # for the customer, when it is not proved


def prove(name: str, label: str) -> Proof:
    """Look for the record of this customer's `label` (`_da-verify-<token>`) below `name`; takes up to 5 s.

    A wildcard record answers under every customer's label, so it proves nothing: a name that nobody was told
    must not answer the same. An alias proves nothing either, for the same reason; the TXT must stand at the
    name itself.
    """
    record = f"{label}.{name}"
    if len(record) > 253:
        return Proof(Result.MISSING, f"{name} is too long to carry the record that proves it.")
    resolver = Resolver(name)
    try:
        found = resolver.ask(record, "TXT", follow=False)
        if not _says_so(found.values):
            return Proof(Result.MISSING, _what_is_there(record, found.values, found.alias))
        if _says_so(resolver.ask(f"_da-verify-{token_hex(16)}.{name}", "TXT", follow=False).values):
            return Proof(
                Result.MISSING,
                f"A wildcard record of {name} answers for every name, so it proves nothing. Remove it, "
                f"publish the record at {record} itself, then try again.",
            )
    except Unchecked as unchecked:
        return Proof(
            Result.UNCHECKED,
            f"{unchecked} This says nothing about your record; try again in a minute, and ask "
            "your DNS host if it stays so.",
        )
    return Proof(Result.PROVED)


def look_again(name: str, label: str) -> dict[str, Any]:
    """Whether the proof still stands, in the shape of `records.check`; takes up to AGAIN seconds. That it is gone changes
    nothing by itself: it is told.
    """
    record = f"{label}.{name}"
    facts: dict[str, Any] = {"state": State.OK, "found": [VALUE], "note": "", "fix": "", "ttl": 0}
    if len(record) > 253:
        return facts | {"state": State.UNCHECKED, "found": []}
    try:
        found = Resolver(name, AGAIN).ask(record, "TXT", follow=False)
    except Unchecked as unchecked:
        return facts | {"state": State.UNCHECKED, "found": [], "note": str(unchecked)[:500]}
    if _says_so(found.values):
        return facts | {"ttl": found.ttl}
    note = f"Publish TXT {VALUE} at {record} again; mail goes on meanwhile."
    return facts | {"state": State.MISSING, "found": [], "note": note, "ttl": found.ttl}


def _says_so(values: tuple[str, ...]) -> bool:
    return any(value.strip().strip('"').lower() == VALUE for value in values)


def _what_is_there(record: str, values: tuple[str, ...], alias: str) -> str:
    if alias:
        return f"{record} is an alias (CNAME) of {alias}. Publish the TXT record itself, then try again."
    if values:
        return f"There is a TXT record at {record}, and its value is not {VALUE}. Correct it, then try again."
    return f"There is no TXT record at {record} yet. Publish it, wait some minutes, then try again."
