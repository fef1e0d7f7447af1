"""Mails about domains: when DNS stops being right and when it is again, when somebody else claims one."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts import notices
from accounts.access import Permission, may
from accounts.models import Customer
from domains.dns_watch import NOTICE
from domains.models import DnsAlert, DomainClaim
from domains.models.claim import DECIDED_TO_CLAIMANT, DECIDED_TO_HOLDER, TO_HOLDER, TO_STAFF


@notices.notice_kind(NOTICE, template="domains/emails/dns")
def dns_alert(alert_id: str) -> tuple[list[str], dict[str, Any]]:
    alert = DnsAlert.objects.select_related("domain__customer").filter(pk=alert_id).first()
    if alert is None or alert.domain.deleted_at:
        return [], {}
    url = settings.PANEL_URL + alert.domain.get_absolute_url()
    return people(alert.domain.customer), {"alert": alert, "domain": alert.domain, "domain_url": url}


@notices.notice_kind(TO_HOLDER, template="domains/emails/claim")
def claim_to_holder(claim_id: str) -> tuple[list[str], dict[str, Any]]:
    claim = (
        DomainClaim.objects.select_related("domain__customer").filter(pk=claim_id, decided_at=None).first()
    )
    if claim is None:
        return [], {}
    url = settings.PANEL_URL + claim.domain.get_absolute_url()
    return people(claim.domain.customer), {"domain": claim.domain, "domain_url": url}


@notices.notice_kind(TO_STAFF, template="domains/emails/claim_staff")
def claim_to_staff(claim_id: str) -> tuple[list[str], dict[str, Any]]:
    found = DomainClaim.objects.select_related("domain__customer", "claimant")
    claim = found.filter(pk=claim_id, decided_at=None).first()
    url = settings.PANEL_URL + reverse("admin:domains_domainclaim_changelist")
    return ([settings.SUPPORT_EMAIL] if claim else []), {"claim": claim, "claims_url": url}


@notices.notice_kind(DECIDED_TO_HOLDER, template="domains/emails/claim_decided")
def decision_to_holder(claim_id: str) -> tuple[list[str], dict[str, Any]]:
    claim = _decided(claim_id)
    return people(claim.domain.customer), _decision(claim, claim.domain.customer, is_theirs=not claim.given)


@notices.notice_kind(DECIDED_TO_CLAIMANT, template="domains/emails/claim_decided")
def decision_to_claimant(claim_id: str) -> tuple[list[str], dict[str, Any]]:
    claim = _decided(claim_id)
    return people(claim.claimant), _decision(claim, claim.claimant, is_theirs=bool(claim.given))


def _decided(claim_id: str) -> DomainClaim:
    return DomainClaim.objects.select_related("domain__customer", "claimant").get(pk=claim_id)


def _decision(claim: DomainClaim, customer: Customer, *, is_theirs: bool) -> dict[str, Any]:
    url = settings.PANEL_URL + reverse("domains:domain-list", args=[customer.username])
    return {
        "claim": claim, "domain": claim.domain, "customer": customer, "is_theirs": is_theirs, "domains_url": url,
    }  # fmt: skip


def people(customer: Customer) -> list[str]:
    """The addresses of everybody who may change the customer's domains."""
    members = customer.memberships.select_related("user").filter(user__is_active=True).order_by("created_at")
    return [member.user.email for member in members if may(member.role, Permission.DOMAINS_EDIT)]
