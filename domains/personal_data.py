"""What this app holds about a person."""

from typing import Any

from accounts import privacy
from accounts.models import User
from domains.models import Domain, Mailbox


def export(user: User) -> dict[str, Any]:
    """Domains and mailboxes of the customers the person belongs to: names and sizes, never a password's
    hash.
    """
    domains = Domain.objects.live().filter(customer__memberships__user=user).order_by("name")
    mailboxes = Mailbox.objects.live().filter(domain__in=domains.order_by()).select_related("domain")
    return {
        "domains": domains.values("name", "customer__username", "created_at").iterator(),
        "mailboxes": (_mailbox(mailbox) for mailbox in mailboxes.order_by("pk").iterator()),
    }


def _mailbox(mailbox: Mailbox) -> dict[str, Any]:
    return {
        "address": mailbox.address,
        "name": mailbox.name,
        "created_at": mailbox.created_at,
        "quota_mb": mailbox.quota_mb,
        "used_bytes": mailbox.used_bytes,
        "last_sign_in_at": mailbox.last_sign_in_at,
    }


def keeps(user: User) -> list[str]:
    """Nothing here belongs to a person alone: it is the customer's, and goes when the customer deletes it."""
    if not Domain.objects.filter(customer__memberships__user=user).exists():
        return []
    return ["Domains and mailboxes: they belong to the services, whose other members go on using them"]


def erase(user: User) -> None:
    """There is nothing to do, see `keeps`."""


ABOUT = "The domains and mailboxes of the services you belong to: names and sizes. Mail itself lies in the mailboxes alone."

privacy.register("domains", privacy.Holder(ABOUT, export, "", keeps, erase))
