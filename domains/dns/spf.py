"""Whether our servers may send for a domain: its SPF record (RFC 7208), compared by what receivers make of it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network

from domains.dns.verdict import PUBLISH, State, Verdict, typing_slip

LOOKUPS_AT_MOST = 10  # RFC 7208, 4.6.4
ASKED_AT_MOST = 30  # of a record that leads on and on
_BEGINS = re.compile(r"v=spf1(\s|$)", re.IGNORECASE)
_TERM = re.compile(r"([+?~-]?)([a-z][a-z0-9_.-]*)(?:([:=])(\S*))?(/\S*)?", re.IGNORECASE)
_DOMAIN_SPEC = re.compile(r"(?=.{1,255}$)[a-z0-9_%{}/+,=-]{1,63}(\.[a-z0-9_%{}/+,=-]{1,63})+", re.IGNORECASE)
_MECHANISMS = ("all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists")
_LOOKED_UP = ("include", "a", "mx", "ptr", "exists")

Ask = Callable[[str], Sequence[str]]  # a name's TXT values; raises what stands for "could not be asked"


@dataclass(frozen=True)
class Term:
    text: str
    qualifier: str  # + - ~ ?
    name: str
    value: str  # what stands after : or =, lower case, without a dot at the end
    is_modifier: bool


@dataclass
class Walk:
    """What a record leads to. `lookups`: terms that cost a look-up. `passes`: names whose senders pass. `open_by`: the
    term that lets everybody pass. `unknown`: names that could not be asked. `broken`: names without one SPF record.
    """

    lookups: int = 0
    passes: set[str] = field(default_factory=set)
    open_by: str = ""
    unknown: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


class NotAsked(Exception):
    """The name could not be asked."""


def spf_records(found: Sequence[str]) -> list[str]:
    """Those TXT values that are SPF, also where quotation marks were published with them."""
    return [text for text in found if _BEGINS.match(text.strip().lstrip('"').strip())]


def terms(record: str) -> list[Term]:
    """The terms after `v=spf1`; one that cannot be read has the name ""."""
    return [_term(text) for text in record.split()[1:]]


def _term(text: str) -> Term:
    match = _TERM.fullmatch(text)
    if match is None:
        return Term(text, "+", "", "", False)
    qualifier, name, sign, value, _ = match.groups()
    name, value = name.lower(), (value or "").lower().rstrip(".")
    known = not qualifier if sign == "=" else name in _MECHANISMS and _fits(name, value)
    return Term(text, qualifier or "+", name if known else "", value, sign == "=")


def _fits(name: str, value: str) -> bool:
    if name in ("ip4", "ip6"):
        try:
            return ip_network(value, strict=False).version == int(name[2])
        except ValueError:
            return False
    return name not in ("include", "exists") or _DOMAIN_SPEC.fullmatch(value) is not None


def walk(record: str, ask: Ask, name: str = "") -> Walk:
    """Follow includes and the redirect as a receiver would, in the order of the terms, ASKED_AT_MOST names."""
    seen = Walk()
    _follow(record, ask, seen, (name.lower(),), passing=True)
    return seen


def _follow(record: str, ask: Ask, seen: Walk, path: tuple[str, ...], *, passing: bool) -> None:
    for term in in_force(record):
        if term.name in _LOOKED_UP or term.name == "redirect":
            seen.lookups += 1
        if passing and _lets_all_pass(term):
            seen.open_by = seen.open_by or term.text
        if term.name in ("include", "redirect") and seen.lookups <= ASKED_AT_MOST:
            _enter(term, ask, seen, path, passing=passing and term.qualifier == "+")


def _enter(term: Term, ask: Ask, seen: Walk, path: tuple[str, ...], *, passing: bool) -> None:
    if "%" in term.value:
        return  # a macro: what it leads to depends on the message
    if term.value in path:
        seen.broken.append(term.value)
        return
    if passing:
        seen.passes.add(term.value)
    try:
        found = spf_records(ask(term.value))
    except NotAsked:
        seen.unknown.append(term.value)
        return
    if len(found) == 1:
        _follow(found[0], ask, seen, (*path, term.value), passing=passing)
    else:
        seen.broken.append(term.value)


def in_force(record: str) -> list[Term]:
    """The terms that a receiver reads: those up to `all`; without it the redirect at last (RFC 7208, 5.1 and 6.1)."""
    read: list[Term] = []
    redirect: list[Term] = []
    for term in terms(record):
        if term.is_modifier:
            redirect += [term] if term.name == "redirect" else []
            continue
        read.append(term)
        if term.name == "all":
            return read
    return read + redirect[:1]


def _lets_all_pass(term: Term) -> bool:
    if term.qualifier != "+":
        return False
    if term.name in ("ip4", "ip6"):
        return ip_network(term.value, strict=False).prefixlen == 0
    return term.name == "all"


def compare(include: str, name: str, found: Sequence[str], ask: Ask) -> Verdict:
    """`include`: the name whose senders must pass. `name`: the domain."""
    records = spf_records(found)
    if not records:
        return Verdict(State.MISSING, records, PUBLISH)
    if len(records) > 1:
        same = len({frozenset(term.text.lower() for term in terms(text)) for text in records}) == 1
        note = "There are several SPF records, so receivers use none: replace all of them by this one."
        return Verdict(State.DUPLICATE if same else State.CONFLICT, records, note, merged(include, records))
    return _compare_one(include.lower().rstrip("."), records[0], walk(records[0], ask, name), records)


def _compare_one(include: str, record: str, seen: Walk, records: list[str]) -> Verdict:
    fix = merged(include, records)
    if wrong := typing_slip(record) or _unreadable(record):
        return Verdict(State.DIFFERENT, records, wrong, fix)
    if seen.open_by:
        note = f"It lets everybody send for this domain ({seen.open_by[:80]}): replace it by this one."
        return Verdict(State.INSECURE, records, note, fix)
    if include not in seen.passes:
        late = any(term.value == include for term in terms(record))
        where = "Our include stands where nobody reads it" if late else "Our servers are not in it"
        return Verdict(
            State.DIFFERENT, records, f"{where}: replace it by this one, which keeps the rest.", fix
        )
    if seen.lookups > LOOKUPS_AT_MOST:
        note = (
            f"It costs {seen.lookups} look-ups, and receivers stop at {LOOKUPS_AT_MOST}: remove services that you "
            "no longer use."
        )
        return Verdict(State.DIFFERENT, records, note)
    broken = next((name for name in seen.broken if name != include), "")  # ours is not the customer's to mend
    if broken:
        note = f"{broken[:80]} has no single SPF record of its own, which breaks yours: remove it."
        return Verdict(State.DIFFERENT, records, note, _without(record, broken))
    return Verdict(State.OK, records, _hint(record, seen))


def _without(record: str, name: str) -> str:
    """The record without the term that names `name`; "" where it stands deeper."""
    kept = [term.text for term in terms(record) if term.value != name]
    return " ".join(["v=spf1", *kept]) if len(kept) < len(terms(record)) else ""


def _unreadable(record: str) -> str:
    term = next((term for term in terms(record) if not term.name), None)
    if term is None:
        return ""
    return f"“{term.text[:80]}” is no SPF term, so receivers ignore the whole record: correct or remove it."


def _hint(record: str, seen: Walk) -> str:
    if seen.unknown:
        return f"{seen.unknown[0][:80]} could not be asked, so its look-ups are not counted."
    if in_force(record)[-1].name not in ("all", "redirect") or in_force(record)[-1].qualifier == "?":
        return "It works. End it with ~all or -all, so that others cannot send in your name."
    return ""


def merged(include: str, records: Sequence[str]) -> str:
    """One record for all of them with our include, what nobody may use left out."""
    kept: dict[str, str] = {f"include:{include}": f"include:{include}"}
    ends, redirect = [], ""
    for term in (term for record in records for term in terms(record.strip().strip('"'))):
        if term.name == "all":
            ends.append(term.qualifier)
        elif term.name == "redirect":
            redirect = redirect or term.text
        elif term.name and not _lets_all_pass(term):
            kept.setdefault(term.text.lower().lstrip("+").rstrip("."), term.text)
    if redirect and not ends:
        return " ".join(["v=spf1", *kept.values(), redirect])
    return " ".join(["v=spf1", *kept.values(), "-all" if ends and set(ends) == {"-"} else "~all"])
