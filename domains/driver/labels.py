"""Rows of mail servers in words: by which name staff know what a kind and a key stand for."""

from collections.abc import Callable, Iterable
from uuid import UUID

from accounts.models import Customer, CustomerSuspension
from domains.models import DkimKey, Domain, Kind, Mailbox, MailboxSuspension, ServiceStop

Names = dict[UUID, str]


def labels(rows: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """(kind, key in hex) -> the name of it, also of what is deleted; the key itself for what is not here at all."""
    keys: dict[str, list[UUID]] = {}
    for kind, key in rows:
        keys.setdefault(kind, []).append(UUID(key))
    named = {(kind, key.hex): key.hex for kind, wanted in keys.items() for key in wanted}
    for kind, wanted in keys.items():
        named |= {(kind, key.hex): name for key, name in _NAMERS[Kind(kind)](wanted).items()}
    return named


def _customers(keys: list[UUID]) -> Names:
    return dict(Customer.objects.filter(pk__in=keys).values_list("pk", "username"))


def _domains(keys: list[UUID]) -> Names:
    return dict(Domain.objects.filter(pk__in=keys).values_list("pk", "name"))


def _mailboxes(keys: list[UUID]) -> Names:
    found = Mailbox.objects.filter(pk__in=keys).values_list("pk", "local_part", "domain__name")
    return {key: f"{local_part}@{domain}" for key, local_part, domain in found}


def _dkim_keys(keys: list[UUID]) -> Names:
    found = DkimKey.objects.filter(pk__in=keys).values_list("pk", "selector", "domain__name")
    return {key: f"{selector}._domainkey.{domain}" for key, selector, domain in found}


def _states(keys: list[UUID]) -> Names:
    mailboxes = MailboxSuspension.objects.filter(pk__in=keys)
    found = mailboxes.values_list("pk", "mailbox__local_part", "mailbox__domain__name")
    named = {key: f"suspension of {local_part}@{domain}" for key, local_part, domain in found}
    for model, what in ((CustomerSuspension, "suspension"), (ServiceStop, "end of service")):
        customers = model.objects.filter(pk__in=keys).values_list("pk", "customer__username")
        named |= {key: f"{what} of {username}" for key, username in customers}
    return named


_NAMERS: dict[Kind, Callable[[list[UUID]], Names]] = {
    Kind.CUSTOMER: _customers,
    Kind.DOMAIN: _domains,
    Kind.MAILBOX: _mailboxes,
    Kind.DKIM: _dkim_keys,
    Kind.STATE: _states,
}
