"""What the rows of a mail server contain, read from the models at the moment they are sent."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from accounts.models import Customer, CustomerSuspension, SuspensionBase
from billing.entitlements import Feature, limit_of_each
from domains.models import DkimKey, Domain, Kind, Mailbox, MailboxSuspension, SendRaise, ServiceStop
from mailnode import wire

MB = 2**20
SENDS_SINCE = 4  # the wire that carries send limits
SERVERS_WIRE = "placement__server__sync__wire"
Contents = dict[UUID, wire.Data]
Keys = Collection[UUID] | QuerySet[Any, Any]


def contents(rows: Iterable[tuple[str, UUID]]) -> list[wire.Row]:
    """The rows of these kinds and keys as the wire carries them; what is not there (any more) is a row
    without data.
    """
    keys = _by_kind(rows)
    found = read(keys)
    return [wire.row(kind, key.hex, found[kind].get(key)) for kind, wanted in keys.items() for key in wanted]


def read(keys: Mapping[str, Keys]) -> dict[str, Contents]:
    """What stands under these keys, by kind; a fixed number of queries for each kind. Thousands of keys are better a
    query of their own than a list.
    """
    return {kind: _READERS[Kind(kind)](wanted) for kind, wanted in keys.items()}


def _by_kind(rows: Iterable[tuple[str, UUID]]) -> dict[str, list[UUID]]:
    keys: dict[str, list[UUID]] = {}
    for kind, key in rows:
        keys.setdefault(kind, []).append(key)
    return keys


def _among(keys: Keys) -> Any:
    """For `__in`: an array, because a placeholder for each key costs as much as the rest of its query."""
    return keys if isinstance(keys, QuerySet) else RawSQL("SELECT unnest(%s::uuid[])", [list(keys)])


def _customers(keys: Keys) -> Contents:
    keys = list(keys)
    allowed, sends = limit_of_each(keys, Feature.STORAGE_MB), limit_of_each(keys, Feature.SENDS_PER_DAY)
    fields = ("pk", "username", "placement__contact", "sending__sends_per_day_in_sum", SERVERS_WIRE)
    made: Contents = {}
    for pk, username, contact, in_sum, version in Customer.objects.filter(pk__in=_among(keys)).values_list(
        *fields
    ):
        limits = {}
        if (version or 0) >= SENDS_SINCE:
            usual = sends[pk] == wire.SENDS_PER_DAY
            limits = {"sends_per_day": None if usual else sends[pk], "sends_per_day_in_sum": in_sum}
        storage = _bytes(allowed[pk])
        made[pk] = wire.Customer(username=username, storage_bytes=storage, contact=contact or "", **limits)
    return made


def _bytes(allowed_mb: int | None) -> int | None:
    return None if allowed_mb is None else allowed_mb * MB


def _domains(keys: Keys) -> Contents:
    found = Domain.objects.live().filter(pk__in=_among(keys)).values_list("pk", "customer_id", "name")
    return {pk: wire.Domain(customer=customer.hex, name=name) for pk, customer, name in found}


def _mailboxes(keys: Keys) -> Contents:
    """Also those of a deleted domain: the row of the domain says that, and restoring it changes that row
    alone.
    """
    fields = ("pk", "domain_id", "local_part", "quota_mb", "password_hash", "sends_per_day")
    rows = list(Mailbox.objects.live().filter(pk__in=_among(keys)).values_list(*fields))
    sends = _sends(keys, {pk: own for pk, *_, own in rows if own is not None})
    return {
        pk: wire.Mailbox(
            domain=domain.hex,
            local_part=local_part,
            quota_bytes=quota * MB,
            password_hash=password_hash,
            **sends.get(pk, {}),
        )
        for pk, domain, local_part, quota, password_hash, _ in rows
    }


def _sends(keys: Keys, own: dict[UUID, int]) -> dict[UUID, dict[str, Any]]:
    """The send limits of the few that have some of their own, on servers that know of such. The node itself evaluates
    until when one is raised; one that is over is still said until the row is sent for another reason.
    """
    found: dict[UUID, dict[str, Any]] = {pk: {"sends_per_day": limit} for pk, limit in own.items()}
    raised = SendRaise.objects.filter(mailbox__in=_among(keys), lifted_at=None)
    for pk, sends, until in raised.values_list("mailbox_id", "sends_per_day", "until"):
        found.setdefault(pk, {}).update(raised_to=sends, raised_until=int(until.timestamp()))
    knows = {f"domain__customer__{SERVERS_WIRE}__gte": SENDS_SINCE}
    told = set(Mailbox.objects.filter(pk__in=found, **knows).values_list("pk", flat=True)) if found else set()
    return {pk: limits for pk, limits in found.items() if pk in told}


def _dkim_keys(keys: Keys) -> Contents:
    return {
        key.pk: wire.Dkim(domain=key.domain_id.hex, selector=key.selector, private_key=key.private_key)
        for key in DkimKey.objects.filter(pk__in=_among(keys), domain__deleted_at=None)
    }


def _states(keys: Keys) -> Contents:
    """Those that are not lifted. The node itself evaluates `until`."""
    found: Contents = {}
    for suspension in MailboxSuspension.objects.filter(pk__in=_among(keys), lifted_at=None):
        found[suspension.pk] = _state(suspension, "mailbox", suspension.mailbox_id)
    for model in (CustomerSuspension, ServiceStop):
        for stop in model.objects.filter(pk__in=_among(keys), lifted_at=None):
            found[stop.pk] = _state(stop, "customer", stop.customer_id)
    return found


def _state(suspension: SuspensionBase, kind: wire.SubjectKind, subject: UUID) -> wire.State:
    until = None if suspension.until is None else int(suspension.until.timestamp())
    stops = cast(list[wire.Stop], suspension.stops)
    return wire.State(
        subject_kind=kind, subject=subject.hex, stops=stops, reason=suspension.reason, until=until
    )


_READERS: dict[Kind, Callable[[Keys], Contents]] = {
    Kind.CUSTOMER: _customers,
    Kind.DOMAIN: _domains,
    Kind.MAILBOX: _mailboxes,
    Kind.DKIM: _dkim_keys,
    Kind.STATE: _states,
}
