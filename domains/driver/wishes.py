"""What a mail server should hold, read from the models and not from the index of its rows, in the hashes of a digest.

Everything here runs in the caller's snapshot and takes a fixed number of queries for each call.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar
from uuid import UUID

from django.db.models import Count

from accounts.models import Customer, CustomerSuspension
from domains.driver.rows import Contents, Keys, read
from domains.models import DkimKey, Domain, Kind, Mailbox, MailboxSuspension, ServiceStop
from mailnode import wire

Entry = tuple[str, str, str]  # kind, key and row hash, as in a digest

T = TypeVar("T", bound=wire.Wire)


def domains_after(server_id: int, after: str, most: int, mailboxes: int) -> tuple[list[UUID], bool]:
    """The next domains of the server's customers in the order of their ids, deleted ones too, and whether there are
    more: at most `most`, and no more than hold `mailboxes` live mailboxes in sum, but at least one.
    """
    found = Domain.objects.filter(**_of_server(server_id, "customer__")).order_by("pk")
    found = found.filter(pk__gt=UUID(after)) if after else found
    keys = list(found.values_list("pk", flat=True)[: most + 1])
    counted = Mailbox.objects.live().filter(domain__in=keys).order_by().values("domain")
    held = dict(counted.values_list("domain", Count("pk")))
    room, fitting = mailboxes, 0
    while fitting < min(len(keys), most) and (fitting == 0 or held.get(keys[fitting], 0) <= room):
        room -= held.get(keys[fitting], 0)
        fitting += 1
    return keys[:fitting], fitting < len(keys)


def of_domains(server_id: int, domains: Collection[UUID]) -> dict[str, list[Entry]]:
    """What a digest of each of these domains should say, by the domain's id; nothing for those of other servers."""
    entries: dict[str, list[Entry]] = {domain.hex: [] for domain in domains}
    here = Domain.objects.filter(pk__in=domains, **_of_server(server_id, "customer__"))
    domains = list(here.values_list("pk", flat=True))
    mailboxes = Mailbox.objects.live().filter(domain__in=domains).values("pk")
    keys = DkimKey.objects.filter(domain__in=domains).values("pk")
    found = read({Kind.DOMAIN: domains, Kind.MAILBOX: mailboxes, Kind.DKIM: keys})
    customers = {UUID(domain.customer) for domain in _of(found[Kind.DOMAIN], wire.Domain).values()}
    above = read({Kind.CUSTOMER: customers, Kind.STATE: _states_on(mailboxes, customers)})
    holders = _holders(found, domains)
    for kind, rows in (found | above).items():
        for key, data in rows.items():
            entry = (str(kind), key.hex, wire.row_hash(kind, key.hex, data))
            for domain in holders[_subject(key, data)]:
                entries[domain].append(entry)
    return entries


def of_keys(kind: Kind, keys: Iterable[UUID]) -> dict[str, str]:
    """Key -> row hash of those that are there."""
    found = read({kind: [*keys]})[kind]
    return {key.hex: wire.row_hash(kind, key.hex, data) for key, data in found.items()}


def customers_after(server_id: int, after: str, most: int) -> list[UUID]:
    found = Customer.objects.filter(**_of_server(server_id)).order_by("pk")
    found = found.filter(pk__gt=UUID(after)) if after else found
    return list(found.values_list("pk", flat=True)[:most])


def states_after(server_id: int, after: str, most: int) -> list[UUID]:
    """The next suspensions that are not lifted, of whatever kind, in the order of their ids."""
    keys: list[UUID] = []
    for model, customer in _STATES:
        found = model.objects.filter(lifted_at=None, **_of_server(server_id, customer)).order_by("pk")
        found = found.filter(pk__gt=UUID(after)) if after else found
        keys += found.values_list("pk", flat=True)[:most]
    return sorted(keys)[:most]


def counts(server_id: int) -> dict[str, int]:
    """How many rows of each kind the server should hold in all."""
    states = 0
    for model, customer in _STATES:
        states += model.objects.filter(lifted_at=None, **_of_server(server_id, customer)).count()
    live_keys = DkimKey.objects.filter(domain__deleted_at=None)
    return {
        Kind.CUSTOMER.value: Customer.objects.filter(**_of_server(server_id)).count(),
        Kind.DOMAIN.value: Domain.objects.live().filter(**_of_server(server_id, "customer__")).count(),
        Kind.DKIM.value: live_keys.filter(**_of_server(server_id, "domain__customer__")).count(),
        Kind.MAILBOX.value: Mailbox.objects.live()
        .filter(**_of_server(server_id, "domain__customer__"))
        .count(),
        Kind.STATE.value: states,
    }


def _of_server(server_id: int, customer: str = "") -> dict[str, object]:
    """A filter for what belongs to customers that are placed there; `customer` leads to the customer."""
    return {f"{customer}placement__server": server_id, f"{customer}placement__placed_at__isnull": False}


_STATES = (
    (MailboxSuspension, "mailbox__domain__customer__"),
    (CustomerSuspension, "customer__"),
    (ServiceStop, "customer__"),
)


def _states_on(mailboxes: Keys, customers: Collection[UUID]) -> list[UUID]:
    """The suspensions of these, not lifted."""
    of_mailboxes = MailboxSuspension.objects.filter(mailbox__in=mailboxes, lifted_at=None)
    keys = list(of_mailboxes.values_list("pk", flat=True))
    for model in (CustomerSuspension, ServiceStop):
        found = model.objects.filter(customer__in=customers, lifted_at=None)
        keys += found.values_list("pk", flat=True)
    return keys


def _holders(found: Mapping[str, Contents], domains: Collection[UUID]) -> dict[str, list[str]]:
    """In the digests of which domains a row about this subject (a domain, mailbox or customer) stands."""
    holders: dict[str, list[str]] = defaultdict(list)
    for domain in domains:
        holders[domain.hex].append(domain.hex)
    for key, mailbox in _of(found[Kind.MAILBOX], wire.Mailbox).items():
        holders[key.hex].append(mailbox.domain)
    for key, live in _of(found[Kind.DOMAIN], wire.Domain).items():
        holders[live.customer].append(key.hex)
    return holders


def _subject(key: UUID, data: wire.Data) -> str:
    """What the row is about: its domain for a key, what is stopped for a state, otherwise itself."""
    if isinstance(data, wire.Dkim):
        return data.domain
    return data.subject if isinstance(data, wire.State) else key.hex


def _of(rows: Contents, shape: type[T]) -> dict[UUID, T]:
    return {key: data for key, data in rows.items() if isinstance(data, shape)}
