"""Placing customers on mail servers."""

from django.db.models import Count, OuterRef, Subquery
from django.utils import timezone

from accounts import audit
from accounts.models import Customer, CustomerSuspension, User
from domains.driver.stamping import stamp
from domains.models import (
    DkimKey,
    Domain,
    Kind,
    Mailbox,
    MailboxSuspension,
    MailServer,
    Placement,
    ServiceStop,
)
from foundation.unit_of_work import unit_of_work

GB = 2**30


def place(customer: Customer, *, by: User | None) -> Placement | None:
    """Give the customer its mail server: the one that staff wished for, else the open one with most room. A
    customer that is placed already keeps its server. None when no server is open; the sweep tries again.
    """
    with unit_of_work():
        Customer.objects.select_for_update().get(pk=customer.pk)
        placement = Placement.objects.filter(customer=customer).first()
        if placement and placement.placed_at:
            return placement
        server = placement.server if placement else roomiest()
        if server is None:
            return None
        placement, _ = Placement.objects.update_or_create(
            customer=customer, defaults={"placed_at": timezone.now()}, create_defaults=_new(server, by)
        )
        stamp_everything(customer)
        audit.record(
            "customer.place",
            by=by,
            customer=customer,
            subject=customer.username,
            after={"server": server.name},
        )
    return placement


def roomiest() -> MailServer | None:
    """The open server with most free disk, by whole GB; among equals the one with fewest customers."""
    servers = MailServer.objects.filter(takes_new_customers=True, sync__halted_at=None).select_related("sync")
    counted = servers.annotate(customers=Count("placements")).order_by("pk")
    return min(counted, key=lambda server: (-_free_gb(server), server.customers), default=None)


def name_of_server(customer: str) -> Subquery:
    """For an annotation: of the server on which the customer is that a row names by this field; null before."""
    placed = Placement.objects.filter(customer=OuterRef(customer)).exclude(placed_at=None)
    return Subquery(placed.values("server__name")[:1])


def unplaced() -> list[Customer]:
    """Active customers without a mail server: what a lost signal, or a day without an open server, left
    behind.
    """
    active = Customer.objects.filter(ended_at=None).exclude(activated_at=None)
    return list(active.exclude(placement__placed_at__isnull=False)[:100])


def stamp_everything(customer: Customer) -> None:
    """Stamp each row that the customer's mail server should hold."""
    mailboxes = Mailbox.objects.filter(domain__customer=customer, deleted_at=None)
    keys = {
        Kind.DOMAIN: Domain.objects.live().filter(customer=customer),
        Kind.DKIM: DkimKey.objects.filter(domain__customer=customer, domain__deleted_at=None),
        Kind.MAILBOX: mailboxes,
    }
    stamp(customer, Kind.CUSTOMER, customer.pk)
    for kind, found in keys.items():
        for key in found.values_list("pk", flat=True):
            stamp(customer, kind, key)
    for states in (
        CustomerSuspension.objects.filter(customer=customer, lifted_at=None),
        ServiceStop.objects.filter(customer=customer, lifted_at=None),
        MailboxSuspension.objects.filter(mailbox__domain__customer=customer, lifted_at=None),
    ):
        for key in states.values_list("pk", flat=True):
            stamp(customer, Kind.STATE, key)


def _new(server: MailServer, by: User | None) -> dict[str, object]:
    return {"server": server, "by": by, "placed_at": timezone.now()}


def _free_gb(server: MailServer) -> int:
    return int(server.sync.reported.get("disk_free", 0)) // GB
