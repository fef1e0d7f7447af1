"""postmaster@ and abuse@ of every domain (RFC 2142): where no mailbox has the name, mail for it goes to an owner of the
customer, whatever the customer wishes. Which owner is noted with the placement, so that what a mail server is told and
what it is compared with are the same.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.models import Customer, Membership, Role
from domains.driver.stamping import stamp
from domains.models import Kind, Placement
from foundation.names import normalise_domain
from foundation.unit_of_work import unit_of_work

ROLES = ("postmaster", "abuse")
SINCE_WIRE = 3
AT_ONCE = 500
MOST = 254
LOCAL_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9'&=_.+-]{0,62}[A-Za-z0-9_-])?")  # as on the wire


def sweep() -> int:
    """Tell each mail server of contacts that are others now: another owner, another address, a newer mailnode."""
    placed = Placement.objects.exclude(placed_at=None).order_by("pk")
    facts = list(placed.values_list("pk", "customer_id", "contact", "server__sync__wire"))
    owners = _owners()
    wrong = []
    for pk, customer, present, wire in facts:
        wanted = contact_of(owners.get(customer, ())) if wire >= SINCE_WIRE else ""
        if wanted != present:
            wrong.append((pk, customer, wanted))
    for start in range(0, len(wrong), AT_ONCE):
        with unit_of_work():
            for pk, customer, wanted in wrong[start : start + AT_ONCE]:
                Placement.objects.filter(pk=pk).update(contact=wanted)
                stamp(Customer(pk=customer), Kind.CUSTOMER, customer)
    return len(wrong)


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


def _owners() -> dict[UUID, list[str]]:
    """The sign-in addresses of the owners of each customer that is placed, the first owner first."""
    found = Membership.objects.filter(
        role=Role.OWNER, user__is_active=True, customer__placement__placed_at__isnull=False
    )
    addresses: dict[UUID, list[str]] = defaultdict(list)
    for customer, address in found.order_by("created_at").values_list("customer_id", "user__email"):
        addresses[customer].append(address)
    return addresses
