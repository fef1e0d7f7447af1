"""Mails about who belongs to a customer. Whom an invitation goes to may be a stranger: its text says nothing of whether
we know the address.
"""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import AuditEntry, Invitation, OwnershipOffer, Role, User
from accounts.notices import notice_kind

Mail = tuple[list[str], dict[str, Any]]
NOBODY: Mail = ([], {})


@notice_kind("invitation", template="accounts/emails/invitation")
def invitation_mail(invitation_id: str) -> Mail:
    invitation = _invitation(invitation_id)
    if invitation is None or not invitation.stands:
        return NOBODY
    return [invitation.email], {"invitation": invitation, "customer": invitation.customer}


@notice_kind("invitation.accepted", template="accounts/emails/invitation_accepted")
def invitation_accepted(invitation_id: str) -> Mail:
    invitation = _invitation(invitation_id)
    if invitation is None or invitation.invited_by is None:
        return NOBODY
    members = invitation.customer.memberships.filter(user=invitation.invited_by, user__is_active=True)
    if not members.exists():
        return NOBODY
    context = {"invitation": invitation, "customer": invitation.customer}
    url = settings.PANEL_URL + reverse("accounts:member-list", args=[invitation.customer.username])
    return [invitation.invited_by.email], {**context, "members_url": url}


@notice_kind("member.change", template="accounts/emails/member_change")
def member_changed(entry_id: str) -> Mail:
    return _to_member(entry_id)


@notice_kind("member.remove", template="accounts/emails/member_remove")
def member_removed(entry_id: str) -> Mail:
    return _to_member(entry_id)


@notice_kind("ownership.offer", template="accounts/emails/ownership_offer")
def ownership_offered(offer_id: str) -> Mail:
    offer = OwnershipOffer.objects.select_related("customer", "offered_by", "offered_to").get(pk=offer_id)
    if not offer.stands:
        return NOBODY
    return [offer.offered_to.email], _about(offer)


@notice_kind("ownership.ended", template="accounts/emails/ownership_ended")
def ownership_ended(offer_id: str) -> Mail:
    """To who offered it, when the other has answered; to the other, when it was withdrawn."""
    offer = OwnershipOffer.objects.select_related("customer", "offered_by", "offered_to").get(pk=offer_id)
    reader = offer.offered_to if offer.outcome == "withdrawn" else offer.offered_by
    return ([reader.email] if reader.is_active else []), _about(offer)


def _about(offer: OwnershipOffer) -> dict[str, Any]:
    return {
        "offer": offer,
        "customer": offer.customer,
        "offer_url": settings.PANEL_URL + offer.get_absolute_url(),
    }


def _invitation(pk: str) -> Invitation | None:
    return Invitation.objects.select_related("customer", "invited_by", "accepted_by").filter(pk=pk).first()


def _to_member(entry_id: str) -> Mail:
    """To the person whom the change was about, as long as they have an account."""
    entry = AuditEntry.objects.select_related("customer").filter(pk=entry_id).first()
    person = entry and User.objects.filter(email=entry.subject, is_active=True).first()
    if not entry or not person or not entry.customer:
        return NOBODY
    roles = {
        when: Role(values["role"]).label.lower()
        for when, values in (("before", entry.before), ("after", entry.after))
        if values
    }
    url = settings.PANEL_URL + entry.customer.get_absolute_url()
    return [person.email], {"customer": entry.customer, "customer_url": url, **roles}
