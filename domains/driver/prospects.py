"""What would become of a row that differs, under each decision, and what each side has, in words without secrets."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from accounts.models import Customer
from domains.models import DkimKey, Domain, Kind, Mailbox, MailServer
from domains.models.domain import refuse_ours
from mailnode import wire

MB = 2**20

ADDED, WITH_DOMAIN, RESTORED = "is added here", "is added here with its domain", "is restored here"
DELETED = "is deleted here, and can be restored for 30 days"
BECOMES, IN_FORCE, LIFTED = "becomes here as the server has it", "is put in force here", "is lifted here"
KEPT, DROPPED = "cannot be taken, and stays as it is here", "cannot be taken, and is taken off the server"
PUT, CHANGED, OFF = (
    "is put on the server",
    "becomes on the server as it is here",
    "is taken off the server",
)

PLAN_DECIDES = "customers and their plans are never taken from a server"
NOT_PLACED, NO_DOMAIN = "its customer is not placed on this server", "its domain is not here"
OURS, HELD, NO_SUBJECT = (
    "it is a name of our own servers",
    "the name is hosted for another customer",
    "what it is about is not here",
)
OTHERS = "it is a suspension of another customer or mailbox here"
PURGED = "its mail is being removed for good"

INVALID, OTHER_KEY = "what the server has is not valid", "the domain has another key here"


class Broken(Enum):
    """What a server holds and what the wire does not allow: such a row is there, and cannot be taken."""

    BROKEN = "broken"


BROKEN = Broken.BROKEN

Key = tuple[str, str]  # kind and key in hex
Rows = dict[Key, wire.Data]
Side = wire.Data | Broken | None
Held = dict[Key, wire.Data | Broken]


@dataclass
class Prospects:
    """Looks rows of one server up in the panel, page by page; `coming` remembers which domains and mailboxes would be
    added, because later rows belong to them.
    """

    server: MailServer
    coming: set[str] = field(default_factory=set)

    def of(self, held: Held, wished: Rows, differing: Iterable[Key]) -> dict[Key, str]:
        """What changes here, if the server is right, for each of the rows that differ."""
        keys = list(differing)
        known = Known(self.server, {key: held[key] for key in keys if key in held}, keys)
        return {key: self._one(known, key, held.get(key), wished.get(key)) for key in keys}

    def _one(self, known: "Known", key: Key, held: Side, wished: wire.Data | None) -> str:
        if key[0] == Kind.CUSTOMER:
            return _refused(PLAN_DECIDES, wished)
        if held is None:
            return LIFTED if key[0] == Kind.STATE else DELETED
        why = self._why_not(known, key[1], held)
        if why:
            return _refused(why, wished)
        if wished is not None:
            return BECOMES
        if isinstance(held, wire.State):
            return IN_FORCE
        if isinstance(held, wire.Dkim):
            return WITH_DOMAIN
        if isinstance(held, wire.Domain | wire.Mailbox):
            self.coming.add(key[1])
        return RESTORED if key[1] in known.deleted else ADDED

    def _why_not(self, known: "Known", key: str, held: wire.Data | Broken) -> str:
        """Why this row could not be taken; "" where nothing stands against it."""
        match held:
            case wire.Domain():
                return known.taken_names.get(key, "") if held.customer in known.placed else NOT_PLACED
            case wire.Mailbox():
                is_here = held.domain in known.domains or held.domain in self.coming
                return PURGED if key in known.purging else "" if is_here else NO_DOMAIN
            case wire.Dkim():
                other_key = known.keys.get(held.domain, key) != key
                return OTHER_KEY if other_key else ""
            case Broken():
                return INVALID
            case wire.State():
                subjects = known.placed if held.subject_kind == "customer" else known.mailboxes | self.coming
                return "" if held.subject_kind != "domain" and held.subject in subjects else NO_SUBJECT
        return NO_SUBJECT


class Known:
    """What the panel knows of the rows of one page; all sets hold ids in hex."""

    def __init__(self, server: MailServer, held: Held, keys: list[Key]) -> None:
        here = {"placement__server": server, "placement__placed_at__isnull": False}
        of_customer = {f"customer__{name}": value for name, value in here.items()}
        of_domain = {f"domain__{name}": value for name, value in of_customer.items()}
        domains = {key: row for (_, key), row in held.items() if isinstance(row, wire.Domain)}
        subjects = {row.subject for row in held.values() if isinstance(row, wire.State)}
        parents = {UUID(row.domain) for row in held.values() if isinstance(row, wire.Mailbox | wire.Dkim)}
        customers = subjects | {row.customer for row in domains.values()}
        every = [key for _, key in keys]
        self.placed = _hex(Customer.objects.filter(pk__in=customers, **here))
        self.domains = _hex(Domain.objects.filter(pk__in=parents, **of_customer))
        self.mailboxes = _hex(Mailbox.objects.filter(pk__in=subjects, **of_domain))
        self.deleted = _hex(Mailbox.objects.filter(pk__in=every).exclude(deleted_at=None))
        self.deleted |= _hex(Domain.objects.filter(pk__in=every).exclude(deleted_at=None))
        self.purging = _hex(Mailbox.objects.filter(pk__in=every).exclude(purging_at=None))
        keyed = DkimKey.objects.filter(domain__in=parents, domain__deleted_at=None)
        self.keys = {domain.hex: key.hex for key, domain in keyed.values_list("pk", "domain_id")}
        elsewhere = Domain.objects.live().exclude(**of_customer)
        self.taken_names = _taken_names(domains, elsewhere)


def _taken_names(domains: dict[str, wire.Domain], elsewhere: QuerySet[Domain]) -> dict[str, str]:
    """Domain id -> why its name cannot be its customer's. Who holds it on the same server, which knows a name once,
    loses it first, because that server does not hold it for him.
    """
    names = {domain.name for domain in domains.values()}
    held = set(elsewhere.filter(name__in=names).values_list("name", flat=True))
    why = {}
    for key, domain in domains.items():
        if domain.name in held:
            why[key] = HELD
        elif _is_ours(domain.name):
            why[key] = OURS
    return why


def _is_ours(name: str) -> bool:
    try:
        refuse_ours(name)
    except ValidationError:
        return True
    return False


def _hex(found: QuerySet[Any]) -> set[str]:
    return {key.hex for key in found.values_list("pk", flat=True)}


def _refused(why: str, wished: wire.Data | None) -> str:
    return f"{KEPT if wished else DROPPED}: {why}"


def on_the_server(held: Side, wished: wire.Data | None) -> str:
    """What changes on the server, if the panel is right."""
    if held is None:
        return PUT
    return CHANGED if wished else OFF


def in_words(data: Side, other: Side) -> str:
    """What one side has, without its secrets, of which only whether they are others than the other side's is told."""
    match data:
        case Broken():
            return "something that is not valid"
        case wire.Customer():
            storage = "without limit" if data.storage_bytes is None else f"{data.storage_bytes // MB} MB"
            contact = f", postmaster@ leads to {data.contact}" if data.contact else ""
            sends = "" if data.sends_per_day is None else f", {data.sends_per_day} recipients a day each"
            if data.sends_per_day_in_sum is not None:
                sends += f", {data.sends_per_day_in_sum} in sum"
            return f"{data.username}, storage {storage}{contact}{sends}"
        case wire.Domain():
            return "hosted here" if data.accepts else "hosted, but takes no mail"
        case wire.Mailbox():
            quota = f"quota {data.quota_bytes / MB:g} MB" if data.quota_bytes else "no quota of its own"
            quota += "" if data.sends_per_day is None else f", {data.sends_per_day} recipients a day"
            if data.raised_until:
                quota += f", raised to {data.raised_to} until {_day(data.raised_until)}"
            differs = isinstance(other, wire.Mailbox) and other.password_hash != data.password_hash
            return f"{quota}, another password" if differs else quota
        case wire.Dkim():
            differs = isinstance(other, wire.Dkim) and other.private_key != data.private_key
            return "another key" if differs else f"a key at selector {data.selector}"
        case wire.State():
            until = "" if data.until is None else f" until {_day(data.until)}"
            return f"stops {', '.join(data.stops).replace('_', ' ')}{until}: {data.reason}"
    return ""


def _day(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %Y, %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "a time beyond any calendar"
