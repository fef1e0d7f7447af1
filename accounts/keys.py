"""Making keys of the API, and telling the owners."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError

from accounts import audit
from accounts.access import RIGHTS, Permission
from accounts.models import ApiKey, Customer, Role, User
from accounts.models.membership import lock_members, role_in
from accounts.notices import notice_kind, send_notice
from foundation.unit_of_work import unit_of_work

MOST = 50  # live keys of one customer


def add_key(
    customer: Customer,
    name: str,
    scopes: list[str],
    networks: list[str],
    expires_at: datetime | None,
    *,
    by: User,
) -> tuple[ApiKey, str]:
    """Make a key by which a program acts as `by`; returns it and the whole key, which nobody can be told again.

    ValidationError for rights that the person does not have, and where the customer has MOST keys.
    """
    with unit_of_work():
        lock_members(customer.pk)
        role = role_in(customer.pk, by.pk)
        if not scopes or not set(scopes) <= {right.value for right in rights_to_give(role)}:
            raise ValidationError({"scopes": "Choose from the rights that your role has."}, code="role")
        if customer.api_keys.live().count() >= MOST:
            raise ValidationError(f"A customer has at most {MOST} keys. Revoke one first.", code="limit")
        made = ApiKey(customer=customer, person=by, name=name, scopes=sorted(set(scopes)))
        made.networks, made.expires_at = networks, expires_at
        key = made.renew_secret()
        made.save(force_insert=True)
        after = {"scopes": made.scopes, "networks": networks}
        after["until"] = [expires_at.date().isoformat()] if expires_at else []
        audit.record("key.add", by=by, customer=customer, subject=str(made), after=after)
        send_notice("key.add", made.pk)
    return made, key


def rights_to_give(role: str | None) -> list[Permission]:
    """The rights that a member of this role can give a key, in the order in which they are read."""
    return [right for right in Permission if role and right in RIGHTS[role]]


@notice_kind("key.add", template="accounts/emails/key_add")
def _added(key_id: str) -> tuple[list[str], dict[str, Any]]:
    key = ApiKey.objects.select_related("customer", "person").get(pk=UUID(key_id))
    addresses = key.customer.member_addresses(role=Role.OWNER)
    return addresses, {
        "key": key,
        "customer": key.customer,
        "key_url": settings.PANEL_URL + key.get_absolute_url(),
    }
