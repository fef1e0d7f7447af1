"""What the DNS of a hosted domain should say, and how what it says compares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.utils import timezone

from domains.dns import dkim_record, dmarc, mx, spf, suffixes
from domains.dns.resolver import Answer, Resolver, Unchecked
from domains.dns.verdict import LABELS, State, Verdict, tags

SHOWN_AT_MOST = 5  # records of a name that are kept and shown
FIX_AT_MOST = 2_000  # characters of a record offered to paste; a longer one is no help
NS_DEADLINE = 1.0
SPF_DEADLINE = 3.0  # seconds for all that an SPF record leads to
MX_PRIORITY = 10


class Key(Protocol):
    """What a DKIM record is made of."""

    selector: str
    public_key: str


@dataclass(frozen=True)
class Record:
    """A record to publish (`kind`: mx, spf, dkim, dmarc) and what was found at the last check.

    `value` is what to publish (for SPF merged with what is there), `note` what to do where it is not there.
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
    cached_until: datetime | None = None

    @property
    def cached_for(self) -> int:
        """For how many seconds from now others may still see what stood there before; 0: no more."""
        if self.cached_until is None:
            return 0
        return max(0, round((self.cached_until - timezone.now()).total_seconds()))

    @property
    def label(self) -> str:
        """The state in words."""
        return LABELS[self.state]

    def as_found(self, found: Mapping[str, Any] | None) -> "Record":
        """With what a stored check says of it."""
        if not found:
            return self
        return replace(
            self,
            state=State(found["state"]),
            found=tuple(found["found"]),
            note=found["note"],
            value=found.get("fix") or self.value,
            cached_until=_moment(found.get("cached_until")),
        )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


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
    """Ask for each record, within the resolver's deadline and SPF_DEADLINE for what SPF leads to: kind -> {state, found,
    note, fix, ttl}, ready for JSON.
    """
    asked = Asked(Resolver(name), Resolver(name, SPF_DEADLINE), name)
    return {record.kind: _check_one(asked, record) for record in sorted(records, key=_spf_last)}


def _spf_last(record: Record) -> bool:
    return record.kind == "spf"


class Asked(NamedTuple):
    """Whom one check asks about `zone`. `spf` has a deadline of its own, so that a long chain of includes leaves the
    other records their time.
    """

    dns: Resolver
    spf: Resolver
    zone: str

    def included(self, name: str) -> tuple[str, ...]:
        try:
            return self.spf.ask(name, "TXT").values
        except Unchecked as unchecked:
            raise spf.NotAsked from unchecked


def _check_one(asked: Asked, record: Record) -> dict[str, Any]:
    try:
        answer = asked.dns.ask(record.name, record.rdtype)
        verdict = _COMPARE[record.kind](asked, record, answer)
        if verdict.state is State.MISSING:
            verdict = _elsewhere(asked, record, verdict)
    except Unchecked as unchecked:
        return {"state": State.UNCHECKED, "found": [], "note": str(unchecked)[:500], "fix": "", "ttl": 0}
    shown = [printable(text)[:500] for text in verdict.found[:SHOWN_AT_MOST]]
    return {
        "state": verdict.state,
        "found": shown,
        "note": printable(verdict.note)[:500],
        "fix": printable(verdict.fix) if len(verdict.fix) <= FIX_AT_MOST else "",
        "ttl": answer.ttl,
    }


def zone_of(name: str) -> tuple[str, list[str]]:
    """The zone that holds `name` and the names of its servers, at most ten; ("", []) where nobody could be asked."""
    resolver = Resolver(name, NS_DEADLINE)
    zone = name
    try:
        while zone.count("."):
            if found := resolver.ask(zone, "NS").values:
                return zone, sorted(printable(text)[:253] for text in found)[:10]
            zone = zone.partition(".")[2]
    except Unchecked:
        pass
    return "", []


def printable(text: str) -> str:
    """Without control characters, and those that turn the direction of text: what DNS says is a stranger's text."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _elsewhere(asked: Asked, record: Record, missing: Verdict) -> Verdict:
    """A host that appends the zone to what is entered has the record one zone too deep."""
    if record.name == asked.zone or len(record.name) + len(asked.zone) > 252:
        return missing
    deep = f"{record.name}.{asked.zone}"
    found = asked.dns.ask(deep, record.rdtype).values
    if not found or _COMPARE[record.kind](asked, record, Answer(deep, found)).state is State.MISSING:
        return missing
    short = record.name.removesuffix(f".{asked.zone}")
    note = f"It stands at {deep}, because your DNS host appends {asked.zone}: enter only {short} as its name."
    return missing._replace(note=note)


def _mx(asked: Asked, record: Record, answer: Answer) -> Verdict:
    return mx.compare(record.value, asked.zone, answer.values)


def _spf(asked: Asked, record: Record, answer: Answer) -> Verdict:
    return spf.compare(settings.SPF_INCLUDE, asked.zone, answer.values, asked.included)


def _dkim(asked: Asked, record: Record, answer: Answer) -> Verdict:
    return dkim_record.compare(tags(record.value)["p"], answer.values)


def _dmarc(asked: Asked, record: Record, answer: Answer) -> Verdict:
    """A domain without a record of its own has that of its organisational domain (RFC 7489, 6.6.3)."""
    own, above = dmarc.compare(answer.values), suffixes.organisational(asked.zone)
    if own.state is not State.MISSING or above == asked.zone:
        return own
    inherited = dmarc.compare(Resolver(above, NS_DEADLINE).ask(f"_dmarc.{above}", "TXT").values)
    if inherited.state is not State.OK:
        return own
    return inherited._replace(note=f"It has none of its own; that of {above} holds for it, too.")


_COMPARE: Mapping[str, Callable[[Asked, Record, Answer], Verdict]] = {
    "mx": _mx,
    "spf": _spf,
    "dkim": _dkim,
    "dmarc": _dmarc,
}
