"""Inviting people by mail to become members of a customer."""

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models.mailed_link import MailedLink, hash_of
from accounts.models.membership import (
    Membership,
    Role,
    lock_members,
    manages,
    refuse_unless_manages,
    role_in,
)
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models.customer import Customer
    from accounts.models.user import User

MAILS_A_DAY = 100  # of one customer, so that nobody sends mail to strangers through us
BETWEEN_MAILS = timedelta(minutes=1)
FORGOTTEN_AFTER = timedelta(days=90)


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def pending(self) -> "InvitationQuerySet":
        """Neither accepted nor revoked; the link of some of them may be past its days."""
        return self.filter(accepted_at=None, revoked_at=None)


class Invitation(MailedLink):
    """An offer of a role with a customer to whoever signs in with this confirmed address."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="invitations")
    email = models.EmailField("e-mail address", max_length=254)
    role = models.CharField(max_length=8, choices=Role.choices)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    invited_at = models.DateTimeField(default=timezone.now)
    mailed_at = models.DateTimeField(default=timezone.now)
    mails = models.PositiveSmallIntegerField(default=1)
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-invited_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "email"],
                condition=Q(accepted_at=None, revoked_at=None),
                name="invitation_pending_once",
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.email} ({self.role}) to {self.customer}"

    @property
    def status(self) -> str:
        """`accepted`, `revoked`, `expired` or `invited`."""
        if self.accepted_at or self.revoked_at:
            return "accepted" if self.accepted_at else "revoked"
        return "expired" if self.has_expired else "invited"

    @property
    def stands(self) -> bool:
        """Whether it can be accepted: pending, its link in its days, and who sent it could still give that role."""
        return self.status == "invited" and self._is_backed and not self.customer.ended_at

    @property
    def link(self) -> str:
        """What its mail leads to."""
        return settings.PANEL_URL + reverse("accounts:invitation-page", args=[self.secret])

    def is_for(self, user: "User") -> bool:
        """Whether the person has confirmed the address that was invited."""
        confirmed = EmailAddress.objects.filter(user=user, verified=True, email__iexact=self.email)
        return user.is_active and confirmed.exists()

    def accept(self, *, by: "User") -> Membership:
        """Make `by` a member; one who is a member already keeps the role they have. A second time changes nothing.

        ValidationError when the invitation is over, is not for them, or who sent it may not invite any more, and while
        nothing of the customer can be changed.
        """
        with unit_of_work():
            lock_members(self.customer_id)
            self.refresh_from_db()
            if self.accepted_by_id == by.pk and (present := self._membership_of(by)):
                return present
            if not self.is_for(by):
                raise ValidationError(f"This invitation is for {self.email}.", code="address")
            if not self.stands:
                raise ValidationError("This invitation does not hold any more.", code="over")
            self.customer.refuse_while_blocked()
            self.accepted_at, self.accepted_by = timezone.now(), by
            self.save(update_fields=["accepted_at", "accepted_by"])
            self._notice("invitation.accepted")
            return self.customer.add_member(by, self.role, by=by)

    def resend(self, *, by: "User") -> bool:
        """Mail it once more with a new link, good for another seven days; the former link is dead. False when the last
        mail is not a minute old. ValidationError when it is over, and where `by` has no say in it.
        """
        with unit_of_work():
            self._lock(by)
            if self.accepted_at or self.revoked_at:
                raise ValidationError("This invitation is over. Invite them anew.", code="over")
            if self.mailed_at > timezone.now() - BETWEEN_MAILS:
                return False
            refuse_too_many_mails(self.customer)
            self.renew_link()
            self.mailed_at, self.mails, self.invited_by = timezone.now(), self.mails + 1, by
            self.save()
            audit.record("invitation.resend", by=by, customer=self.customer, subject=self.email)
            self._notice("invitation")
        return True

    def revoke(self, *, by: "User") -> bool:
        """Take it back: its link is dead at once. False when it is over; ValidationError where `by` has no say in it."""
        with unit_of_work():
            self._lock(by)
            if self.accepted_at or self.revoked_at:
                return False
            self.end(by=by)
        return True

    def end(self, *, by: "User | None") -> None:
        """Note that it was revoked, under the lock of the customer's members; `by` is None where the right of who sent
        it has ended.
        """
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at"])
        audit.record(
            "invitation.revoke", by=by, customer=self.customer, subject=self.email, before={"role": self.role}
        )

    def _lock(self, by: "User") -> None:
        lock_members(self.customer_id)
        self.refresh_from_db()
        refuse_unless_manages(self.customer, self.role, by=by)

    @property
    def _is_backed(self) -> bool:
        sender = self.invited_by
        if sender is None or not sender.is_active:
            return False
        return sender.is_staff or manages(role_in(self.customer_id, sender.pk), self.role)

    def _membership_of(self, user: "User") -> Membership | None:
        return self.customer.memberships.filter(user=user).first()

    def _notice(self, kind: str) -> None:
        from accounts import notices

        notices.send_notice(kind, self.pk)


def invite(customer: "Customer", email: str, role: str, *, by: "User") -> Invitation:
    """See `Customer.invite_member`."""
    email = email.lower()
    with unit_of_work():
        lock_members(customer.pk)
        refuse_unless_manages(customer, role, by=by)
        if customer.memberships.filter(user__email=email).exists():
            text = f"{email} is a member already; see the list of members."
            raise ValidationError({"email": ValidationError(text, code="exists")})
        pending = customer.invitations.pending().filter(email=email).first()
        if pending and pending.role != role:
            text = (
                f"{email} is invited as {pending.get_role_display().lower()}. Revoke that invitation first."
            )
            raise ValidationError({"email": ValidationError(text, code="exists")})
        if pending:
            if pending.has_expired:
                pending.resend(by=by)
            return pending
        refuse_too_many_mails(customer)
        invitation = Invitation(customer=customer, email=email, role=role, invited_by=by)
        invitation.renew_link()
        invitation.save()
        audit.record("invitation.send", by=by, customer=customer, subject=email, after={"role": role})
        invitation._notice("invitation")
    return invitation


def invitations_for(user: "User") -> models.QuerySet[Invitation]:
    """Those that wait for this person, by the addresses that they have confirmed."""
    confirmed = EmailAddress.objects.filter(user=user, verified=True).values("email")
    waiting = Invitation.objects.pending().filter(email__in=confirmed, expires_at__gt=timezone.now())
    return waiting.select_related("customer")[:20]


def find_invitation(secret: str) -> Invitation | None:
    """The one whose link carries this secret."""
    found = Invitation.objects.select_related("customer", "invited_by")
    return found.filter(secret_hash=hash_of(secret)).first()


def refuse_too_many_mails(customer: "Customer") -> None:
    """ValidationError where this customer's invitations of the last day are as many mails as they may be."""
    since = timezone.now() - timedelta(days=1)
    sent = customer.invitations.filter(mailed_at__gt=since).aggregate(mails=models.Sum("mails"))["mails"] or 0
    if sent >= MAILS_A_DAY:
        text = f"{MAILS_A_DAY} invitations are mailed a day at most. Wait until tomorrow, or write to us."
        raise ValidationError(text, code="limit")


def forget_old_invitations() -> None:
    """Erase what is over for long: it holds addresses of people who may never have come."""
    Invitation.objects.filter(expires_at__lt=timezone.now() - FORGOTTEN_AFTER).delete()
