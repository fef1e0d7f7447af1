"""What accounts itself holds about a person."""

from typing import Any
from uuid import uuid4

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator

from accounts import audit, privacy
from accounts.devices import devices_of, end_all
from accounts.factors import factors_of
from accounts.models import AuditEntry, Invitation, User
from accounts.traces import addresses_of, erase_traces


def export(user: User) -> dict[str, Any]:
    """The person's own row and all that hangs on it. Never a hash of the password, a secret of a factor, or a link."""
    acts = AuditEntry.objects.filter(by=user).order_by("at")
    about = AuditEntry.objects.filter(subject__iexact=user.email).exclude(by=user).order_by("at")
    return {
        "email": user.email,
        "name": user.name,
        "joined_at": user.date_joined.isoformat(),
        "memberships": [
            {
                "customer": membership.customer.username,
                "role": membership.role,
                "since": membership.created_at.isoformat(),
            }
            for membership in user.memberships.select_related("customer")
        ],
        "second_factors": list(factors_of(user).values()),
        "changes_of_address": [
            {"old": change.old, "new": change.new, "at": change.at.isoformat(), "status": change.status}
            for change in user.email_changes.all()[:1000]
        ],
        "lost_second_factors": [
            {"reason": lift.reason, "at": lift.at.isoformat(), "status": lift.status}
            for lift in user.factor_lifts.all()[:200]
        ],
        "devices": [
            {
                "browser": device.user_agent,
                "address": device.ip,
                "since": device.created_at.isoformat(),
                "last_seen": device.last_seen_at.isoformat(),
            }
            for device in devices_of(user)
        ],
        "invitations": [
            {"customer": invitation.customer.username, "role": invitation.role, "at": invitation.invited_at}
            for invitation in Invitation.objects.filter(email=user.email).select_related("customer")[:1000]
        ],
        "exports": list(user.data_exports.values("asked_at", "made_at", "fetched_at", "size")),
        "acts": acts.values("at", "action", "subject", "address").iterator(),
        "acts_of_others_about_you": about.values("at", "action", "customer__username").iterator(),
    }


def erase(user: User) -> list[str]:
    """Make the person unrecognisable and unable to sign in; memberships go, the audit trail keeps a pseudonym."""
    pseudonym = f"erased-{uuid4().hex}@invalid.invalid"
    addresses = addresses_of(user)
    user.memberships.all().delete()
    EmailAddress.objects.filter(user=user).delete()
    Authenticator.objects.filter(user=user).delete()
    end_all(user)
    user.factor_lifts.all().delete()
    user.email_changes.all().delete()
    user.data_exports.all().delete()
    user.email = pseudonym
    user.name = ""
    user.is_active = False
    user.is_staff = user.is_superuser = False
    user.set_unusable_password()
    user.save()
    erase_traces(user, addresses)
    audit.record("person.erase", by=None, subject=str(user.pk))
    return ["audit trail: kept two years under a pseudonym, to explain changes to customers' services"]


ABOUT = (
    "Your account: address, name, services you belong to, where you are signed in, the names of your second factors, "
    "and what you did here and when."
)

privacy.register("accounts", privacy.Holder(ABOUT, export, erase))
