"""Mails to staff about incidents: what has opened and closed, in one mail, owed in the transaction that notes it as told.

An incident is told of when it opens and when it closes. One that comes back is told of again at most once an hour;
between any two mails there is a while, and what happens meanwhile is in the next one.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from accounts import notices
from accounts.models import Notice, User
from domains.models import Incident, IncidentReport
from foundation.unit_of_work import unit_of_work

logger = logging.getLogger(__name__)

KIND = "incidents.report"
SETTLES = timedelta(seconds=5)  # from the first opening on: what goes wrong together is told together
STAYS_CLOSED = timedelta(seconds=15)
BETWEEN_MAILS = timedelta(seconds=30)
AGAIN_AFTER = timedelta(hours=1)
AT_ONCE = 200  # incidents in one mail; more of them are in the next
RECIPIENTS = 100


def owe_report() -> Notice | None:
    """Owe a mail about what staff have not been told yet; None when there is nothing, or it is too early."""
    now = timezone.now()
    last = IncidentReport.objects.order_by("-at").values_list("at", flat=True).first()
    if last and abs(now - last) < BETWEEN_MAILS:  # a clock that was set back holds up nothing
        return None
    with unit_of_work():
        opened = list(_untold_openings(now).select_for_update()[:AT_ONCE])
        if not any(incident.reopened or now - incident.opened_at >= SETTLES for incident in opened):
            opened = []
        closed = list(
            _untold_closings(now, [incident.pk for incident in opened]).select_for_update()[:AT_ONCE]
        )
        if not (opened or closed):
            return None
        _told(opened, "opening_mailed_at", now)
        _told(closed, "closing_mailed_at", now)
        report = IncidentReport.objects.create(
            at=now, opened=[incident.pk for incident in opened], closed=[incident.pk for incident in closed]
        )
        return notices.owe_notice(KIND, report.pk)


def deliver_reports() -> None:
    """Send what is owed and due, in this process."""
    for notice_id in notices.unsent(kind=KIND):
        notices.attempt(notice_id)


def _untold_openings(now: datetime) -> QuerySet[Incident]:
    """Those that staff never heard of, over or not; those that they believe closed, an hour after the last time."""
    back = Q(closed_at=None, closing_mailed_at__gte=F("opening_mailed_at"))
    again = back & Q(opening_mailed_at__lte=now - AGAIN_AFTER)
    return Incident.objects.filter(Q(opening_mailed_at=None) | again).order_by("opened_at")


def _untold_closings(now: datetime, opened: list[int]) -> QuerySet[Incident]:
    """Those that staff believe open, or will after this mail."""
    believed = Q(closing_mailed_at=None) | Q(closing_mailed_at__lt=F("opening_mailed_at"))
    told = Q(opening_mailed_at__isnull=False) & believed
    over = Incident.objects.filter(closed_at__lte=now - STAYS_CLOSED)
    return over.filter(told | Q(pk__in=opened)).order_by("closed_at")


def _told(incidents: list[Incident], field: str, now: datetime) -> None:
    Incident.objects.filter(pk__in=[incident.pk for incident in incidents]).update(**{field: now})


@notices.notice_kind(KIND, template="domains/emails/incidents")
def report(report_id: str) -> tuple[list[str], dict[str, Any]]:
    found = IncidentReport.objects.get(pk=report_id)
    incidents = Incident.objects.select_related("server").in_bulk({*found.opened, *found.closed})
    opened = [incidents[key] for key in found.opened if key in incidents and key not in found.closed]
    closed = [incidents[key] for key in found.closed if key in incidents]
    return _staff(), {
        "opened": opened,
        "closed": closed,
        "admin_url": settings.PANEL_URL + reverse("admin:index"),
    }


def _staff() -> list[str]:
    """The addresses of everybody who may see the mail servers."""
    people = User.objects.filter(is_active=True, is_staff=True).order_by("pk")[:RECIPIENTS]
    addresses = [person.email for person in people if person.has_perm("domains.view_mailserver")]
    if not addresses:
        logger.error("Incidents are told to nobody: no active member of staff may see the mail servers.")
    return addresses
