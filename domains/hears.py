"""What the apps below say, inside their transactions, and what it means for mail servers. Sweeps repeat what
was missed.
"""

from collections.abc import Collection
from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.utils import timezone

from accounts.models import Customer, Membership, Role, Stop, User
from accounts.signals import suspension_changed
from billing.signals import key_answered, plan_changed, service_ended, service_started
from domains.driver.stamping import stamp
from domains.models import Kind, Placement, Pulse, ServerRow, ServiceStop, note_end
from domains.placement import place
from domains.signs import FRAUDRECORD
from foundation.unit_of_work import unit_of_work


@receiver(suspension_changed, dispatch_uid="domains")
def on_suspension_changed(customer: Customer, **_: Any) -> None:
    """One row for each suspension that came or went, never one for each mailbox."""
    with unit_of_work():
        suspensions = dict(customer.suspensions.values_list("pk", "lifted_at"))
        rows = ServerRow.objects.filter(kind=Kind.STATE, key__in=suspensions)
        standing = set(rows.filter(gone=False).values_list("key", flat=True))
        for key, lifted_at in suspensions.items():
            if (lifted_at is None) != (key in standing):
                stamp(customer, Kind.STATE, key, gone=lifted_at is not None)


@receiver([post_save, post_delete], sender=Membership, dispatch_uid="domains")
def on_membership_changed(instance: Membership, **_: Any) -> None:
    """Another owner may be whom postmaster@ and abuse@ lead to now (domains.role_addresses)."""
    Placement.objects.filter(customer=instance.customer_id).update(contact_due_at=timezone.now())


@receiver(post_save, sender=User, dispatch_uid="domains")
def on_person_changed(instance: User, update_fields: Collection[str] | None, **_: Any) -> None:
    """The same of an owner's address. Signing in, which saves a person too, changes none."""
    if update_fields is None or not {"email", "is_active"}.isdisjoint(update_fields):
        owned = instance.memberships.filter(role=Role.OWNER).values("customer")
        Placement.objects.filter(customer__in=owned).update(contact_due_at=timezone.now())


@receiver(service_started, dispatch_uid="domains")
def on_service_started(customer: Customer, **_: Any) -> None:
    """Place the customer, or tell its server what the plan now allows, and lift what the end of service
    stopped.
    """
    with unit_of_work():
        Customer.objects.select_for_update(no_key=True).get(
            pk=customer.pk
        )  # no stop comes between the next two
        for stop in customer.service_stops.filter(lifted_at=None):
            stamp(customer, Kind.STATE, stop.pk, gone=True)
        customer.service_stops.filter(lifted_at=None).update(lifted_at=timezone.now())
        place(customer, by=None)
        stamp(customer, Kind.CUSTOMER, customer.pk)


@receiver(service_ended, dispatch_uid="domains")
def on_service_ended(customer: Customer, **_: Any) -> None:
    """Stop sending and receiving with one row. Nothing is deleted, and signing in to fetch one's mail goes
    on.
    """
    with unit_of_work():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        stop, made = ServiceStop.objects.get_or_create(
            customer=customer,
            lifted_at=None,
            defaults={"stops": [Stop.RECEIVE, Stop.SEND], "reason": "The service has ended."},
        )
        if made:
            stamp(customer, Kind.STATE, stop.pk)


@receiver(key_answered, dispatch_uid="domains")
def on_key_answered(refusal: str, **_: Any) -> None:
    """Whether FraudRecord took our key, for the watch. The time of the first refusal stays."""
    if not refusal:
        note_end(FRAUDRECORD)
        return
    known = Pulse.objects.filter(name=FRAUDRECORD).first()
    if known is None or not known.is_failing:
        facts = {"failed_at": timezone.now(), "failure": refusal}
        Pulse.objects.update_or_create(name=FRAUDRECORD, defaults=facts)


@receiver(plan_changed, dispatch_uid="domains")
def on_plan_changed(customer: Customer, **_: Any) -> None:
    """One row for the customer, never one for each mailbox."""
    with unit_of_work():
        if Placement.objects.filter(customer=customer).exclude(placed_at=None).exists():
            stamp(customer, Kind.CUSTOMER, customer.pk)
