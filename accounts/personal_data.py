"""What accounts itself holds about a person."""

from typing import Any
from uuid import uuid4

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db.models import F
from django.urls import reverse

from accounts import audit, privacy
from accounts.devices import devices_of, end_all
from accounts.factors import factors_of
from accounts.models import ApiRequest, AuditEntry, Invitation, User
from accounts.models.customer import owned_alone
from accounts.traces import addresses_of, erase_traces


def export(user: User) -> dict[str, Any]:
    """The person's own row and all that hangs on it. Never a hash, a secret or a link."""
    acts = AuditEntry.objects.filter(by=user).order_by("at")
    calls = ApiRequest.objects.filter(key__person=user).order_by("pk")
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
        "api_keys": [
            {
                "begins": key.prefix,
                "name": key.name,
                "customer": key.customer.username,
                "rights": key.scopes,
                "networks": key.networks,
                "made": key.created_at,
                "ends": key.expires_at,
                "revoked": key.revoked_at,
                "last_used": key.last_used_at,
                "last_used_from": key.last_used_from,
            }
            for key in user.api_keys.select_related("customer")[:1000]
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
        "deletions_of_the_account": list(user.account_deletions.values("at", "due_at", "stopped_at")),
        "exports": list(user.data_exports.values("asked_at", "made_at", "fetched_at", "size")),
        "calls_of_api_keys": calls.values(
            "at", "method", "path", "status", "milliseconds", "address", key_begins=F("key__prefix")
        ).iterator(),
        "acts": acts.values("at", "action", "subject", "address").iterator(),
        "acts_of_others_about_you": about.values("at", "action", "customer__username").iterator(),
    }


def keeps(user: User) -> list[str]:
    return [
        "What you changed in services: kept for two years from each change on, without your name and address, because "
        "the other people there may need to know what happened"
    ]


def hinders(user: User) -> list[privacy.Hindrance]:
    """Running services that nobody else could act for, and being staff."""
    running = owned_alone(user).filter(ended_at=None).exclude(activated_at=None).order_by("username")
    alone = [
        privacy.Hindrance(
            f"You are the only owner of {customer.name}, and its service is running.",
            reverse("accounts:ownership-page", args=[customer.username]),
            "Hand it over",
        )
        for customer in running
    ]
    if user.is_staff:
        alone.append(
            privacy.Hindrance(
                "You belong to our staff. Have that ended first.", reverse("contact"), "Contact"
            )
        )
    return alone


def erase(user: User) -> None:
    """Make the person unrecognisable and unable to sign in; memberships go, the audit trail keeps a pseudonym."""
    pseudonym = f"erased-{uuid4().hex}@invalid.invalid"
    addresses = addresses_of(user)
    _leave_all(user)
    user.api_keys.all().delete()
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


def _leave_all(user: User) -> None:
    """End the memberships, and with them what the person offered to others."""
    left = list(user.memberships.select_related("customer").order_by("pk"))
    user.memberships.all().delete()
    for membership in left:
        before = {"role": membership.role}
        audit.record("member.leave", by=user, customer=membership.customer, subject=user.email, before=before)
        membership.end_lost_rights()


ABOUT = (
    "Your account: address, name, services you belong to, where you are signed in, the names of your second factors, "
    "your keys of the API and what they called in the last 7 days, and what you did here and when."
)

ERASES = (
    "Your account: address, name, password, second factors, devices, API keys, and your place in every service. You are "
    "signed out everywhere."
)

privacy.register("accounts", privacy.Holder(ABOUT, export, ERASES, keeps, erase, hinders))
