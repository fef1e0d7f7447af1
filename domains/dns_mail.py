"""The mail to a domain's people when its DNS stops being right, and when it is again."""

from typing import Any

from django.conf import settings

from accounts import notices
from accounts.access import Permission, may
from accounts.models import Customer
from domains.dns_watch import NOTICE
from domains.models import DnsAlert


@notices.notice_kind(NOTICE, template="domains/emails/dns")
def dns_alert(alert_id: str) -> tuple[list[str], dict[str, Any]]:
    alert = DnsAlert.objects.select_related("domain__customer").filter(pk=alert_id).first()
    if alert is None or alert.domain.deleted_at:
        return [], {}
    url = settings.PANEL_URL + alert.domain.get_absolute_url()
    return people(alert.domain.customer), {"alert": alert, "domain": alert.domain, "domain_url": url}


def people(customer: Customer) -> list[str]:
    """The addresses of everybody who may change the customer's domains."""
    members = customer.memberships.select_related("user").filter(user__is_active=True).order_by("created_at")
    return [member.user.email for member in members if may(member.role, Permission.DOMAINS_EDIT)]
