"""Mails about mailboxes and plans that are nearly full."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.notices import notice_kind
from billing.entitlements import storage
from domains.dns_mail import people
from domains.models import Mailbox
from domains.models.quota_warning import QuotaSummary, QuotaWarning
from domains.quota_warnings import MAILBOX, SUMMARY

NAMED = 50  # mailboxes in one mail


@notice_kind(MAILBOX, template="domains/emails/quota_mailbox")
def mailbox_is_nearly_full(warning_id: str) -> tuple[list[str], dict[str, Any]]:
    """Into the mailbox itself; not when it is well again meanwhile, or gone."""
    found = QuotaWarning.objects.filter(pk=warning_id, ended_at=None, mailbox__deleted_at=None)
    warning = found.select_related("mailbox__domain").first()
    mailbox = warning.mailbox if warning else None
    if mailbox is None or not mailbox.quota_mb or mailbox.domain.deleted_at:
        return [], {}
    return [mailbox.address], {"mailbox": mailbox, "percent": _percent(mailbox)}


@notice_kind(SUMMARY, template="domains/emails/quota_summary")
def storage_is_nearly_full(summary_id: str) -> tuple[list[str], dict[str, Any]]:
    summary = QuotaSummary.objects.select_related("customer").get(pk=summary_id)
    customer = summary.customer
    plan = _plan(summary)
    mailboxes = _mailboxes(summary)
    if (not plan and not mailboxes) or customer.ended_at:
        return [], {}
    context = {
        "customer": customer,
        "plan": plan,
        "mailboxes": [(mailbox, _percent(mailbox), _url(mailbox)) for mailbox in mailboxes[:NAMED]],
        "more": max(0, len(mailboxes) - NAMED),
        "customer_url": settings.PANEL_URL + customer.get_absolute_url(),
        "contact_url": settings.PANEL_URL + reverse("contact"),
    }
    return people(customer), context


def _plan(summary: QuotaSummary) -> dict[str, Any]:
    """What the whole plan holds, if this summary is to tell it; otherwise nothing."""
    if not summary.warnings.filter(mailbox=None, ended_at=None).exists():
        return {}
    found = storage(summary.customer)
    if found is None:
        return {}
    return {"used": found.used, "limit": found.limit, "percent": found.used * 100 // found.limit}


def _mailboxes(summary: QuotaSummary) -> list[Mailbox]:
    ids = summary.warnings.filter(ended_at=None, mailbox__isnull=False).values("mailbox")
    found = Mailbox.objects.live().filter(pk__in=ids, quota_mb__gt=0).select_related("domain__customer")
    return list(found.order_by("domain__name", "local_part")[:1000])


def _percent(mailbox: Mailbox) -> int:
    return mailbox.used_bytes * 100 // (mailbox.quota_mb << 20)


def _url(mailbox: Mailbox) -> str:
    return settings.PANEL_URL + mailbox.get_absolute_url()
