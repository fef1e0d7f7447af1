from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property

from accounts import audit
from accounts.models.invitation import Invitation, invite
from accounts.models.membership import Membership, Role
from accounts.models.ownership import OwnershipOffer, offer_ownership
from accounts.models.suspension import Stop, SuspensionBase, SuspensionCause
from accounts.signals import suspension_changed
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models.user import User


TOLD = 500  # members who get a mail about their customer


class Customer(models.Model):
    """An account that is sold to: it holds domains and mailboxes and is billed. People belong to it by memberships."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    username = models.CharField(
        max_length=10,
        unique=True,
        validators=[RegexValidator(r"\A[a-z0-9_]{1,10}\Z", "Use 1 to 10 of a–z, 0–9 and _.")],
        help_text="1 to 10 of a–z, 0–9 and _. Part of the address of every page of this customer.",
    )
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="customers")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(username__regex=r"^[a-z0-9_]{1,10}$"), name="customer_username_form"
            ),
        ]

    def __str__(self) -> str:
        return self.username

    def get_absolute_url(self) -> str:
        return reverse("accounts:customer-overview", args=[self.username])

    @property
    def status(self) -> str:
        """`pending` until the order is active, then `active`, `restricted` (something is stopped until an invoice is
        paid), `suspended` (by staff) or `ended`.
        """
        if self.ended_at:
            return "ended"
        if not self.activated_at:
            return "pending"
        if self.suspension:
            return "suspended"
        return "restricted" if self.restriction else "active"

    @cached_property
    def suspensions_in_force(self) -> "dict[str, CustomerSuspension]":
        """By cause; together they stop what any of them stops."""
        return {each.cause: each for each in self.suspensions.in_force()}

    @property
    def suspension(self) -> "CustomerSuspension | None":
        """The suspension by staff that is in force, if there is one: while it is, nothing can be changed."""
        return self.suspensions_in_force.get(SuspensionCause.STAFF)

    @property
    def restriction(self) -> "CustomerSuspension | None":
        """The suspension for money that is in force, if there is one: it stops mail and nothing else."""
        return self.suspensions_in_force.get(SuspensionCause.UNPAID)

    @property
    def blocked_reason(self) -> str:
        """Why nothing can be changed now, in words for the customer; empty when everything can."""
        if self.ended_at:
            return "This service has ended. Under Billing stands how to have it back."
        if not self.activated_at:
            return "This service is not active yet. It is as soon as its order is approved and paid."
        if self.suspension:
            return f"This customer is suspended. The reason: {self.suspension.reason.rstrip('.')}."
        return ""

    @property
    def restricted_reason(self) -> str:
        """What is stopped until an invoice is paid, and why, in words for the customer; empty when nothing is."""
        if not self.restriction:
            return ""
        stopped, reason = self.restriction.stops_text, self.restriction.reason.rstrip(".")
        return f"Stopped for all mailboxes: {stopped}. The reason: {reason}."

    def member_addresses(self, **which: str) -> list[str]:
        """Where mails about the customer go: members who may sign in (`role=…`: those alone), TOLD at most."""
        members = self.memberships.filter(user__is_active=True, **which).order_by("created_at")
        return list(members.values_list("user__email", flat=True)[:TOLD])

    def refuse_while_blocked(self) -> None:
        """ValidationError with `blocked_reason`, where there is one."""
        if reason := self.blocked_reason:
            raise ValidationError(reason, code="blocked")

    def activate(self, *, by: "User | None") -> bool:
        """Note that service has begun; false when it had already."""
        with unit_of_work():
            changed = Customer.objects.filter(pk=self.pk, activated_at=None).update(
                activated_at=timezone.now()
            )
            self.refresh_from_db(fields=["activated_at"])
            if changed:
                audit.record("customer.activate", by=by, customer=self, subject=self.username)
        return bool(changed)

    def end(self, *, by: "User | None") -> bool:
        """Note that service has ended; false when it had already. Nothing is deleted."""
        with unit_of_work():
            changed = Customer.objects.filter(pk=self.pk, ended_at=None).update(ended_at=timezone.now())
            self.refresh_from_db(fields=["ended_at"])
            if changed:
                audit.record("customer.end", by=by, customer=self, subject=self.username)
        return bool(changed)

    def come_back(self, *, by: "User | None") -> bool:
        """Note that a service that had ended runs again; false when it had not."""
        with unit_of_work():
            changed = Customer.objects.filter(pk=self.pk, ended_at__isnull=False).update(ended_at=None)
            self.refresh_from_db(fields=["ended_at"])
            if changed:
                audit.record("customer.come_back", by=by, customer=self, subject=self.username)
        return bool(changed)

    def suspend(
        self,
        *,
        reason: str,
        by: "User | None",
        stops: Iterable[str] = tuple(Stop.values),
        until: datetime | None = None,
        cause: SuspensionCause = SuspensionCause.STAFF,
    ) -> "CustomerSuspension":
        """Stop the whole customer with one row, beside that of the other cause. While one by staff is in force a second
        call returns that one; one for money is replaced, unless it is the same.
        """
        stops = sorted(set(stops))
        with unit_of_work():
            present = self._lock_suspension(cause)
            same = present and (present.stops, present.reason, present.until) == (stops, reason, until)
            if present and (same or cause == SuspensionCause.STAFF):
                return present
            self._lift(cause, by)
            made = self.suspensions.create(stops=stops, reason=reason, until=until, by=by, cause=cause)
            before = {"cause": cause.value, "stops": present.stops} if present else None
            ends_at = until.isoformat() if until else None
            after = {"cause": cause.value, "stops": stops, "reason": reason, "until": ends_at}
            audit.record(
                "customer.suspend", by=by, customer=self, subject=self.username, before=before, after=after
            )
            suspension_changed.send(Customer, customer=self)
        return made

    def lift_suspension(self, *, by: "User | None", cause: SuspensionCause = SuspensionCause.STAFF) -> bool:
        """End the suspension of this cause; false when none is in force. What the other cause stops stays stopped."""
        with unit_of_work():
            former = self._lock_suspension(cause)
            if former is None:
                return False
            self._lift(cause, by)
            after = {"cause": cause.value}
            before = {**after, "stops": former.stops}
            audit.record(
                "customer.unsuspend", by=by, customer=self, subject=self.username, before=before, after=after
            )
            suspension_changed.send(Customer, customer=self)
        return True

    def _lock_suspension(self, cause: SuspensionCause) -> "CustomerSuspension | None":
        """The one of this cause that is in force, which nobody else changes meanwhile."""
        Customer.objects.select_for_update(no_key=True).get(pk=self.pk)
        return self.suspensions.in_force().filter(cause=cause).first()

    def _lift(self, cause: SuspensionCause, by: "User | None") -> None:
        lifted = self.suspensions.in_force().filter(cause=cause)
        lifted.update(lifted_at=timezone.now(), lifted_by=by)
        self.__dict__.pop("suspensions_in_force", None)

    def add_member(self, user: "User", role: str, *, by: "User | None") -> "Membership":
        """Make `user` a member with `role`; a member already keeps the role it has."""
        with unit_of_work():
            membership, made = self.memberships.get_or_create(user=user, defaults={"role": role})
            if made:
                audit.record("member.add", by=by, customer=self, subject=user.email, after={"role": role})
        return membership

    def invite_member(self, email: str, role: str, *, by: "User") -> Invitation:
        """Invite whoever confirms this address to become a member with `role`; the same again while it is pending is
        the same invitation, with no second mail unless its days are over.

        ValidationError where `by` does not give that role, the address is a member's or invited with another role, or
        too many mails were sent today. Whether we know the address makes no difference.
        """
        return invite(self, email, role, by=by)

    def offer_ownership(self, to: Membership, *, by: "User") -> OwnershipOffer:
        """Offer the ownership to another member, who has seven days to accept; the same again is the same offer.

        ValidationError unless `by` is an owner, `to` a member who is none, and no other offer is pending.
        """
        return offer_ownership(self, to, by=by)


def owned_alone(user: "User") -> models.QuerySet[Customer]:
    """The customers that nobody else could act for as an owner."""
    owners = Membership.objects.filter(role=Role.OWNER, user__is_active=True)
    others = owners.filter(customer=models.OuterRef("pk")).exclude(user=user)
    mine = Customer.objects.filter(memberships__user=user, memberships__role=Role.OWNER)
    return mine.exclude(models.Exists(others))


def know_suspensions(customers: list[Customer]) -> None:
    """Read the suspensions in force of many customers at once, for lists."""
    known = {customer.pk: customer for customer in customers}
    for customer in customers:
        customer.suspensions_in_force = {}
    for each in CustomerSuspension.objects.in_force().filter(customer__in=customers):
        known[each.customer_id].suspensions_in_force[each.cause] = each


class CustomerSuspension(SuspensionBase):
    """A customer stopped as a whole, by staff or for money."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="suspensions")
    cause = models.CharField(
        max_length=6,
        choices=SuspensionCause.choices,
        default=SuspensionCause.STAFF,
        db_default=SuspensionCause.STAFF,
        help_text="What is stopped for an invoice is lifted when that is paid, and never by hand.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "cause"],
                condition=models.Q(lifted_at=None, until=None),
                name="customer_suspended_once",
            ),
            models.CheckConstraint(
                condition=models.Q(cause__in=SuspensionCause.values),
                name="customer_suspension_cause_known",
            ),
        ]

    def __str__(self) -> str:
        return f"Suspension of {self.customer}"
