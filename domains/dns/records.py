"""What the DNS of a hosted domain should say, and how what it says compares."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from django.conf import settings

from domains.dns.resolver import Answer, Resolver, Unchecked

SHOWN_AT_MOST = 5  # records of a name that are kept and shown
MX_PRIORITY = 10


class State(StrEnum):
    OK = "ok"
    MISSING = "missing"
    DIFFERENT = "different"
    UNCHECKED = "unchecked"


_LABELS = {
    State.OK: "Published",
    State.MISSING: "Not found",
    State.DIFFERENT: "Different",
    State.UNCHECKED: "Not checked",
}


class Key(Protocol):
    """What a DKIM record is made of."""

    selector: str
    public_key: str


@dataclass(frozen=True)
class Record:
    """A record to publish (`kind`: mx, spf, dkim, dmarc) and what was found at the last check.

    `value` is what it should say, `note` what to do where it does not.
    """

    kind: str
    title: str
    rdtype: str
    name: str
    value: str
    why: str
    priority: int | None = None
    state: State = State.UNCHECKED
    found: tuple[str, ...] = ()
    note: str = ""

    @property
    def label(self) -> str:
        """The state in words."""
        return _LABELS[self.state]

    def as_found(self, found: Mapping[str, Any] | None) -> "Record":
        """With what a stored check says of it."""
        if not found:
            return self
        return replace(self, state=State(found["state"]), found=tuple(found["found"]), note=found["note"])


def expected(name: str, server: str | None, key: Key) -> list[Record]:
    """The records for a domain on mail server `server` (None: not placed yet, so there is no MX to name)."""
    mx = Record(
        "mx",
        "Incoming mail",
        "MX",
        name,
        f"{server}.",
        "Tells the world to bring mail for this domain here.",
        MX_PRIORITY,
    )
    spf = Record(
        "spf",
        "Allowed senders (SPF)",
        "TXT",
        name,
        f"v=spf1 include:{settings.SPF_INCLUDE} -all",
        "Says that our servers may send for this domain. Have only one of these: add our include to yours.",
    )
    dkim = Record(
        "dkim",
        "Signature (DKIM)",
        "TXT",
        f"{key.selector}._domainkey.{name}",
        f"v=DKIM1; k=rsa; p={key.public_key}",
        "Lets receivers check that a message is yours and unchanged.",
    )
    dmarc = Record(
        "dmarc",
        "Policy (DMARC)",
        "TXT",
        f"_dmarc.{name}",
        "v=DMARC1; p=none;",
        "Says what receivers do with mail that fails the two above. A stricter policy of yours is as good.",
    )
    return [*([mx] if server else []), spf, dkim, dmarc]


def check(name: str, records: list[Record]) -> dict[str, dict[str, Any]]:
    """Ask for each record, within the resolver's one deadline: kind -> {state, found, note}, ready for
    JSON.
    """
    resolver = Resolver(name)
    return {record.kind: _check_one(resolver, record) for record in records}


def _check_one(resolver: Resolver, record: Record) -> dict[str, Any]:
    try:
        answer = resolver.ask(record.name, record.rdtype)
    except Unchecked as unchecked:
        return {"state": State.UNCHECKED, "found": [], "note": str(unchecked)}
    state, found, note = _COMPARE[record.kind](record, answer)
    shown = [text[:500].replace("\0", "") for text in found[:SHOWN_AT_MOST]]
    return {"state": state, "found": shown, "note": note}


Verdict = tuple[State, list[str], str]


def _compare_mx(record: Record, answer: Answer) -> Verdict:
    found = sorted(answer.values)
    hosts = {value.split()[-1].rstrip(".").lower() for value in found}
    if not hosts:
        return State.MISSING, found, "Publish it, then check again."
    if hosts == {record.value.rstrip(".").lower()}:
        return State.OK, found, ""
    return State.DIFFERENT, found, "Mail also goes elsewhere, or only there. Leave our host as the only MX."


def _compare_spf(record: Record, answer: Answer) -> Verdict:
    found = [value for value in answer.values if re.match(r"v=spf1(\s|$)", value.strip(), re.IGNORECASE)]
    terms = [term.lower().lstrip("+") for value in found for term in value.split()[1:]]
    if not found:
        return State.MISSING, found, "Publish it, then check again."
    if len(found) > 1:
        return (
            State.DIFFERENT,
            found,
            "There are several SPF records, so receivers use none. Merge them into one.",
        )
    if "all" in terms:
        return State.DIFFERENT, found, "It allows everybody to send for this domain (+all). End it with -all."
    if f"include:{settings.SPF_INCLUDE}".lower() not in terms:
        return State.DIFFERENT, found, f"Add include:{settings.SPF_INCLUDE} to it, before its last term."
    return State.OK, found, ""


def _compare_dkim(record: Record, answer: Answer) -> Verdict:
    found = [value for value in answer.values if "p" in _tags(value)]
    keys = {_key(value) for value in found}
    if not found:
        return State.MISSING, found, "Publish it, then check again."
    if keys == {_key(record.value)}:
        return State.OK, found, ""
    return State.DIFFERENT, found, "It holds another key. Copy the value from here and replace what is there."


def _compare_dmarc(record: Record, answer: Answer) -> Verdict:
    found = [value for value in answer.values if _tags(value).get("v", "").upper() == "DMARC1"]
    if not found:
        return State.MISSING, found, "Publish it, then check again."
    if len(found) > 1:
        return State.DIFFERENT, found, "There are several DMARC records, so receivers use none. Leave one."
    if _tags(found[0]).get("p", "").lower() not in ("none", "quarantine", "reject"):
        return State.DIFFERENT, found, "It has no policy. Add p=none, p=quarantine or p=reject."
    return State.OK, found, ""


_COMPARE: Mapping[str, Callable[[Record, Answer], Verdict]] = {
    "mx": _compare_mx,
    "spf": _compare_spf,
    "dkim": _compare_dkim,
    "dmarc": _compare_dmarc,
}


def _tags(text: str) -> dict[str, str]:
    """The tags of a `tag=value; tag=value` record (RFC 6376, 3.2), names in lower case, white space left
    out.
    """
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip().lower(): "".join(value.split()) for name, _, value in pairs}


def _key(text: str) -> str:
    return _tags(text).get("p", "")
