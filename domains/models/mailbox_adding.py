"""How a mailbox is added."""

import secrets

from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import User
from billing.entitlements import Feature, limits
from domains.models.domain import Domain
from domains.models.mailbox import Mailbox, exists_if_doubled, ready_hash
from domains.models.mailbox_invitation import invite_owner
from domains.plan_room import check_quota, check_room_for_mailboxes
from foundation.names import normalise_local_part
from foundation.unit_of_work import unit_of_work


def add_mailbox(
    domain: Domain,
    username: str,
    quota_mb: int,
    name: str,
    *,
    by: User | None,
    password: str,
    password_hash: str,
    invite: str,
) -> Mailbox:
    """See `Domain.add_mailbox`."""
    local_part = _local_part(username)
    asked = Feature.STORAGE_MB, Feature.MAILBOXES, Feature.SENDS_PER_DAY
    storage_mb, mailboxes, sends = limits(domain.customer, *asked)
    check_quota(quota_mb, storage_mb)
    # What an invited owner replaces is the hash of a secret that nobody has seen.
    ready = ready_hash(secrets.token_urlsafe(60) if invite else password, password_hash)
    with exists_if_doubled("username"), unit_of_work():
        check_room_for_mailboxes(domain.customer, 1, mailboxes)
        if not Domain.objects.live().filter(pk=domain.pk).exists():
            raise ValidationError(
                f"{domain} was deleted meanwhile. Restore it, then add the mailbox.", code="deleted"
            )
        mailbox = domain.mailboxes.create(
            local_part=local_part,
            name=name,
            quota_mb=quota_mb,
            password_hash=ready,
            password_awaited_since=timezone.now() if invite else None,
        )
        mailbox.record("mailbox.add", by, after={"quota_mb": quota_mb, "name": name})
        if invite:
            invite_owner(mailbox, invite, by=by)
    mailbox.plan_sends_when_added = sends or 0
    return mailbox


def _local_part(username: str) -> str:
    try:
        return normalise_local_part(username)
    except ValidationError as error:
        raise ValidationError({"username": error.messages}) from error
