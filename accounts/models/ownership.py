"""Handing a customer over, with the consent of both."""

from typing import TYPE_CHECKING
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models.mailed_link import GOOD_FOR
from accounts.models.membership import Membership, Role, lock_members, role_in
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models.customer import Customer
    from accounts.models.user import User


class OfferOutcome(models.TextChoices):
    ACCEPTED = "accepted", "Accepted"
    DECLINED = "declined", "Declined"
    WITHDRAWN = "withdrawn", "Withdrawn"


class OwnershipOfferQuerySet(models.QuerySet["OwnershipOffer"]):
    def pending(self) -> "OwnershipOfferQuerySet":
        return self.filter(ended_at=None, expires_at__gt=timezone.now())


class OwnershipOffer(models.Model):
    """An owner offers the ownership to a member. Who accepts becomes owner, who offered becomes admin."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="ownership_offers")
    offered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    offered_to = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    offered_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=9, choices=OfferOutcome.choices, blank=True)

    objects = OwnershipOfferQuerySet.as_manager()

    class Meta:
        ordering = ["-offered_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=Q(ended_at=None), name="ownership_offered_once"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, outcome="")
                | Q(ended_at__isnull=False, outcome__in=OfferOutcome.values),
                name="ownership_offer_ended_somehow",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer} to {self.offered_to}"

    def get_absolute_url(self) -> str:
        return reverse("accounts:ownership-page", args=[self.customer.username])

    @property
    def stands(self) -> bool:
        """Whether it still can be accepted: not ended, in its days, by an owner, to another member, both of whom may
        sign in.
        """
        role = role_in(self.customer_id, self.offered_to_id)
        return (
            self.ended_at is None
            and self.expires_at > timezone.now()
            and self.offered_by.is_active
            and self.offered_to.is_active
            and role_in(self.customer_id, self.offered_by_id) == Role.OWNER
            and role not in (None, Role.OWNER)
        )

    def accept(self, *, by: "User") -> bool:
        """Change places: `by` becomes owner, who offered it becomes admin. False when that has happened already.

        ValidationError when it does not stand any more or was offered to somebody else, and while nothing of the
        customer can be changed.
        """
        with unit_of_work():
            self._lock()
            if self.outcome == OfferOutcome.ACCEPTED and self.offered_to_id == by.pk:
                return False
            self.customer.refuse_while_blocked()
            if not self.stands or self.offered_to_id != by.pk:
                raise ValidationError("This offer does not stand any more.", code="over")
            members = {member.user_id: member for member in self.customer.memberships.select_related("user")}
            taker, giver = members[self.offered_to_id], members[self.offered_by_id]
            self._give("ownership.transfer", taker, Role.OWNER, by=by)
            self._give("member.change", giver, Role.ADMIN, by=by)
            self.end(OfferOutcome.ACCEPTED, by=by)
            giver.end_lost_rights()
        return True

    def decline(self, *, by: "User") -> bool:
        """Turn it down; false when it is over, or was offered to somebody else."""
        with unit_of_work():
            self._lock()
            if self.ended_at or self.offered_to_id != by.pk:
                return False
            self.end(OfferOutcome.DECLINED, by=by)
        return True

    def withdraw(self, *, by: "User") -> bool:
        """Take it back; false when it is over."""
        with unit_of_work():
            self._lock()
            if self.ended_at:
                return False
            self.end(OfferOutcome.WITHDRAWN, by=by)
        return True

    def end(self, outcome: str, *, by: "User | None") -> None:
        """Note how it ended, under the lock of the customer's members, and tell the other side."""
        from accounts import notices

        self.ended_at, self.outcome = timezone.now(), outcome
        self.save(update_fields=["ended_at", "outcome"])
        if outcome != OfferOutcome.ACCEPTED:
            action = f"ownership.{'decline' if outcome == OfferOutcome.DECLINED else 'withdraw'}"
            audit.record(action, by=by, customer=self.customer, subject=self.offered_to.email)
        notices.send_notice("ownership.ended", self.pk)

    def _lock(self) -> None:
        lock_members(self.customer_id)
        self.refresh_from_db()

    def _give(self, action: str, member: Membership, role: str, *, by: "User") -> None:
        before, member.role = member.role, role
        member.save(update_fields=["role"])
        audit.record(
            action, by=by, customer=self.customer, subject=member.user.email,
            before={"role": before}, after={"role": role},
        )  # fmt: skip


def offer_ownership(customer: "Customer", to: Membership, *, by: "User") -> OwnershipOffer:
    """See `Customer.offer_ownership`."""
    from accounts import notices

    with unit_of_work():
        lock_members(customer.pk)
        if role_in(customer.pk, by.pk) != Role.OWNER:
            raise ValidationError("Only an owner hands the customer over.", code="role")
        if role_in(customer.pk, to.user_id) in (None, Role.OWNER):
            raise ValidationError({"to": "Choose a member who is not an owner yet."})
        if present := customer.ownership_offers.pending().first():
            if (present.offered_by_id, present.offered_to_id) == (by.pk, to.user_id):
                return present
            raise ValidationError("There is an offer already. Withdraw it to make another.", code="offered")
        customer.ownership_offers.filter(ended_at=None).update(
            ended_at=timezone.now(), outcome=OfferOutcome.WITHDRAWN
        )
        offer = customer.ownership_offers.create(
            offered_by=by, offered_to=to.user, expires_at=timezone.now() + GOOD_FOR
        )
        audit.record("ownership.offer", by=by, customer=customer, subject=to.user.email)
        notices.send_notice("ownership.offer", offer.pk)
    return offer
