"""postmaster@ and abuse@ of every domain (RFC 2142): where no mailbox has the name, mail for it goes to an owner of the
customer, whatever the customer wishes. Which owner is noted with the placement, so that what a mail server is told and
what it is compared with are the same.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Customer, Membership, Role
from domains.driver.stamping import stamp
from domains.models import Kind, Placement
from foundation.names import normalise_domain
from foundation.unit_of_work import unit_of_work

ROLES = ("postmaster", "abuse")
SINCE_WIRE = 3
AT_ONCE = 500
CLAIM = timedelta(
    minutes=1
)  # for the look that is under way; a worker that dies in it is made good for after that
EVERY = timedelta(days=1)
MOST = 254
LOCAL_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9'&=_.+-]{0,62}[A-Za-z0-9_-])?")  # as on the wire


def sweep() -> int:
    """Tell mail servers of contacts that are others now. Looked at are those for which `domains.hears` noted a change,
    and each once a day, for what nobody told of; how many were wrong.
    """
    now, count = timezone.now(), 0
    claimed = now + CLAIM
    due = Placement.objects.filter(contact_due_at__lte=now).exclude(placed_at=None)
    while found := _put_off(due, claimed):
        wrong = _wrong(found)
        with unit_of_work():
            customers = [placement.customer_id for placement, _ in wrong]
            # As who changes members does: the customer before its placement.
            list(Customer.objects.select_for_update(no_key=True).filter(pk__in=customers).order_by("pk"))
            for placement, wanted in wrong:
                Placement.objects.filter(pk=placement.pk).update(contact=wanted)
                stamp(Customer(pk=placement.customer_id), Kind.CUSTOMER, placement.customer_id)
        # What changed since it was read is due again, and stays so.
        _put_off(Placement.objects.filter(pk__in=found, contact_due_at=claimed), now + EVERY)
        count += len(wrong)
    return count


def _put_off(placements: QuerySet[Placement], until: datetime) -> list[int]:
    """The ids of some of these placements, which are looked at again from `until` on. What somebody changes just now
    is passed over and not waited for.
    """
    with transaction.atomic():
        free = placements.select_for_update(skip_locked=True).order_by("contact_due_at")
        found = list(free.values_list("pk", flat=True)[:AT_ONCE])
        Placement.objects.filter(pk__in=found).update(contact_due_at=until)
    return found


def _wrong(ids: list[int]) -> list[tuple[Placement, str]]:
    """Of these placements those with another contact than they should have, with the right one."""
    found = Placement.objects.filter(pk__in=ids).select_related("server__sync").order_by("pk")
    owners = _owners(ids)
    wanted = [
        (each, contact_of(owners.get(each.customer_id, ())) if each.server.sync.wire >= SINCE_WIRE else "")
        for each in found
    ]
    return [(each, contact) for each, contact in wanted if contact != each.contact]


def contact_of(addresses: Iterable[str]) -> str:
    """The first that mail can be sent on to, else our own support, else nobody. Never a role address itself: such a
    one could lead back to where it came from.
    """
    for address in (*addresses, settings.SUPPORT_EMAIL):
        local_part, _, domain = address.strip().rpartition("@")
        if local_part.partition("+")[0].lower() in ROLES or not LOCAL_PART.fullmatch(local_part):
            continue
        try:
            contact = f"{local_part}@{normalise_domain(domain)}"
        except ValidationError:
            continue
        if len(contact) <= MOST:
            return contact
    return ""


def _owners(ids: list[int]) -> dict[UUID, list[str]]:
    """The sign-in addresses of the owners of each of these placements' customers, the first owner first."""
    found = Membership.objects.filter(role=Role.OWNER, user__is_active=True, customer__placement__in=ids)
    addresses: dict[UUID, list[str]] = defaultdict(list)
    for customer, address in found.order_by("created_at").values_list("customer_id", "user__email"):
        addresses[customer].append(address)
    return addresses
