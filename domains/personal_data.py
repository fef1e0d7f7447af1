"""What this app holds about a person."""

from typing import Any

from accounts import privacy
from accounts.models import User
from domains.models import Domain


def export(user: User) -> dict[str, Any]:
    """Domains and mailboxes of the customers the person belongs to: names and sizes, never a password's
    hash.
    """
    domains = Domain.objects.live().filter(customer__memberships__user=user).prefetch_related("mailboxes")
    return {
        "domains": [
            {
                "name": domain.name,
                "created_at": domain.created_at.isoformat(),
                "mailboxes": [
                    {
                        "address": f"{mailbox.local_part}@{domain.name}",
                        "name": mailbox.name,
                        "quota_mb": mailbox.quota_mb,
                        "used_bytes": mailbox.used_bytes,
                    }
                    for mailbox in domain.mailboxes.all()
                    if not mailbox.deleted_at
                ],
            }
            for domain in domains
        ]
    }


def erase(user: User) -> list[str]:
    """Nothing here belongs to a person alone: it is the customer's, and goes when the customer deletes it."""
    if not Domain.objects.filter(customer__memberships__user=user).exists():
        return []
    return ["domains and mailboxes: they belong to the customer, whose other members go on using them"]


privacy.register("domains", export=export, erase=erase)
