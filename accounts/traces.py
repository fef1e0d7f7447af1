"""Where the addresses of a person stand in what others did: replaced by a pseudonym once the person is erased."""

import re
from collections.abc import Callable
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from accounts.models import AuditEntry, Invitation, User

_AROUND = ".:!?'[]{}*_`"  # what sentences put around an address
_ADDRESS = re.compile(r"[^\s\"<>(),;]+@[^\s\"<>(),;]+")


def addresses_of(user: User) -> set[str]:
    """All that are or were the person's, in lower case; not those that they only wished for."""
    done = user.email_changes.exclude(done_at=None).values_list("old", "new")
    own = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    renamed = AuditEntry.objects.filter(by=user, action="email.change").values_list("subject", "after__new")
    found = {user.email, *own, *(each for pair in (*done, *renamed) for each in pair if each)}
    return {address.lower() for address in found}


def erase_traces(user: User, addresses: set[str]) -> None:
    """After `user` became a pseudonym, which is their address now: put it in the place of `addresses` in audit entries,
    and of every address in the entries about changing theirs; forget from where they acted, invitations to them, and what
    Django's own log of the staff pages says of them, which the audit trail says too.
    """
    pseudonym = user.email
    Invitation.objects.filter(email__in=addresses).delete()
    LogEntry.objects.filter(_names(addresses, "object_repr", "change_message")).delete()
    AuditEntry.objects.filter(by=user, address__isnull=False).update(address=None)
    _replace(AuditEntry.objects.filter(by=user, action__startswith="email."), lambda each: pseudonym)
    _replace(_that_name(addresses), lambda each: pseudonym if each.lower() in addresses else each)


def _that_name(addresses: set[str]) -> QuerySet[AuditEntry]:
    texts = {"b": Cast("before", TextField()), "a": Cast("after", TextField())}
    return AuditEntry.objects.annotate(**texts).filter(_names(addresses, "subject", "b", "a"))


def _names(addresses: set[str], *fields: str) -> Q:
    """That one of the fields holds one of the addresses."""
    found = Q(pk=None)
    for address in addresses:
        for field in fields:
            found |= Q(**{f"{field}__icontains": address})
    return found


def _replace(entries: QuerySet[AuditEntry], by: Callable[[str], str]) -> None:
    for entry in entries.only("subject", "before", "after").iterator():
        values = {name: _replaced(getattr(entry, name), by) for name in ("subject", "before", "after")}
        if any(getattr(entry, name) != value for name, value in values.items()):
            AuditEntry.objects.filter(pk=entry.pk).update(**values)


def _replaced(value: Any, by: Callable[[str], str]) -> Any:
    """The value with each text that holds an address which `by` replaces given up for the replacement as a whole."""
    match value:
        case str():
            found = (each.strip(_AROUND) for each in _ADDRESS.findall(value))
            return next((new for each in found if (new := by(each)) != each), value)
        case list():
            return [_replaced(each, by) for each in value]
        case dict():
            return {name: _replaced(each, by) for name, each in value.items()}
    return value
