"""Who belongs to a customer, and in which role."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models.customer import Customer
    from accounts.models.user import User


class Role(models.TextChoices):
    """What a member may do: a reader sees; billing also orders and invoices; an admin also changes
    domains, mailboxes and members; an owner everything.
    """

    OWNER = "owner", "Owner"
    ADMIN = "admin", "Admin"
    BILLING = "billing", "Billing"
    READER = "reader", "Reader"


# Role -> the roles that its members give, change and take away.
MANAGES: Mapping[str, frozenset[str]] = {
    Role.OWNER: frozenset(Role.values),
    Role.ADMIN: frozenset(Role.values) - {Role.OWNER},
}


def manages(role: str | None, other: str) -> bool:
    """Whether members with `role` decide about members with the role `other`."""
    return role is not None and other in MANAGES.get(role, frozenset())


class Membership(models.Model):
    """A person's role with a customer. Every verb holds the customer's lock, so that of two at once who leave, one is
    the last owner.
    """

    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=8, choices=Role.choices)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer", "user"], name="membership_once"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role}) of {self.customer}"

    def get_absolute_url(self) -> str:
        return reverse("accounts:member-page", args=[self.customer.username, self.pk])

    @property
    def is_last_owner(self) -> bool:
        """Whether nobody else could act for the customer as its owner."""
        owners = Membership.objects.filter(customer=self.customer_id, role=Role.OWNER, user__is_active=True)
        return self.role == Role.OWNER and not owners.exclude(pk=self.pk).exists()

    def change_role(self, role: str, *, by: "User | None") -> bool:
        """Give another role; false when it is the present one.

        ValidationError for the last owner, for a member who is gone, and where `by` has no say in it.
        """
        with unit_of_work():
            if not self._lock():
                raise ValidationError("This person is no member any more.", code="gone")
            if role == self.role:
                return False
            for each in (self.role, role):
                refuse_unless_manages(self.customer, each, by=by)
            self._refuse_last_owner()
            before, self.role = self.role, role
            self.save(update_fields=["role"])
            self.end_lost_rights()
            self._told("member.change", by=by, before={"role": before}, after={"role": role})
        return True

    def remove(self, *, by: "User | None") -> bool:
        """End the membership, and with it at once all that the person could do; by the person: they leave. False when
        it is ended already. ValidationError for the last owner, and where `by` has no say in it.
        """
        with unit_of_work():
            if not self._lock():
                return False
            leaves = by is not None and by.pk == self.user_id
            if not leaves:
                refuse_unless_manages(self.customer, self.role, by=by)
            self._refuse_last_owner()
            Membership.objects.filter(pk=self.pk).delete()
            self.end_lost_rights()
            self._told("member.leave" if leaves else "member.remove", by=by, before={"role": self.role})
        return True

    def end_lost_rights(self) -> None:
        """Under the lock: take back what the person offered to others and could offer no more, and their keys."""
        role = role_in(self.customer_id, self.user_id)
        for invitation in self.customer.invitations.pending().filter(invited_by=self.user_id):
            if not manages(role, invitation.role):
                invitation.end(by=None)
        if role is None:
            for key in self.customer.api_keys.live().filter(person=self.user_id):
                key.revoke(by=None)
        for offer in self.customer.ownership_offers.pending():
            if not offer.stands:
                offer.end("withdrawn", by=None)

    def _lock(self) -> bool:
        """Hold the customer's members still and read the role once more; false when the membership is gone."""
        lock_members(self.customer_id)
        role = Membership.objects.filter(pk=self.pk).values_list("role", flat=True).first()
        self.role = role or self.role
        return role is not None

    def _refuse_last_owner(self) -> None:
        if self.is_last_owner:
            text = "The last owner stays. Make somebody else an owner first, or hand the customer over."
            raise ValidationError(text, code="last_owner")

    def _told(self, action: str, *, by: "User | None", **values: dict[str, str]) -> None:
        from accounts import notices

        entry = audit.record(action, by=by, customer=self.customer, subject=self.user.email, **values)
        if by is None or by.pk != self.user_id:
            notices.send_notice(action, entry.pk)


def lock_members(customer_id: UUID) -> None:
    """Let who belongs to the customer change by one unit of work at a time."""
    from accounts.models.customer import Customer

    Customer.objects.select_for_update(no_key=True).only("pk").get(pk=customer_id)


def role_in(customer_id: UUID, user_id: int) -> str | None:
    found = Membership.objects.filter(customer=customer_id, user=user_id)
    return found.values_list("role", flat=True).first()


def refuse_unless_manages(customer: "Customer", role: str, *, by: "User | None") -> None:
    """ValidationError unless `by` decides about members with this role: by the role they have now; the system and
    staff who do not belong to the customer always do.
    """
    own = role_in(customer.pk, by.pk) if by else None
    if by is None or (own is None and by.is_staff) or manages(own, role):
        return
    who = (
        "Only an owner decides about owners."
        if own == Role.ADMIN
        else "Your role does not decide about members."
    )
    raise ValidationError(who, code="role")
