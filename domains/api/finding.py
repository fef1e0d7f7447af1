"""The things of the key's customer that a path names; Http404 for everything else."""

from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.models import Customer
from domains.models import Domain, Mailbox, MailboxImport
from foundation.names import normalise_domain


def domain_named(customer: Customer, name: str, *, deleted: bool = False, with_dns: bool = False) -> Domain:
    """The live domain of this name, or with `deleted` the one that was deleted last and can be had back; `with_dns` has
    what its records are compared with at hand.
    """
    domains: Any = customer.domains.all()
    if with_dns:
        domains = domains.select_related("dns_check", "customer__placement__server__sync")
    wanted = _in_form(name)
    found: Domain = get_object_or_404(
        domains.to_restore(wanted) if deleted else domains.live().filter(name=wanted)
    )
    return found


def mailbox_named(domain: Domain, name: str, *, deleted: bool = False) -> Mailbox:
    """The same of a mailbox, by its local part or its address."""
    local_part, _, of_domain = name.lower().partition("@")
    if of_domain not in ("", domain.name):
        raise Http404
    mailboxes: Any = domain.mailboxes
    found: Mailbox = get_object_or_404(
        mailboxes.to_restore(local_part) if deleted else mailboxes.live().named(local_part)
    )
    found.domain = domain
    return found


def import_numbered(domain: Domain, number: int) -> MailboxImport:
    found: MailboxImport = get_object_or_404(domain.mailbox_imports, pk=number)
    found.domain = domain
    return found


def _in_form(name: str) -> str:
    try:
        return normalise_domain(name)
    except ValidationError:
        raise Http404 from None
