"""What mail servers report of sending, the mail that a limit is nearly reached, and which rows say so to them."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts import notices
from accounts.models import Customer
from accounts.webhooks import events
from billing.entitlements import Feature, limit_of_each
from domains.driver.stamping import stamp
from domains.models import CustomerSending, Kind, Mailbox, MailServer, Placement, SendRaise
from domains.models.sending import MOST, NEARLY, hour_of, in_force
from foundation.unit_of_work import unit_of_work
from mailnode import wire

NOTICE = "mailbox-sends"
TOLD_AGAIN_AFTER = timedelta(days=1)
FARTHEST = timedelta(days=2)  # nothing counted falls out later; a server that says so is wrong


def take_sent(server: MailServer, entries: list[wire.Sent]) -> set[UUID]:
    """Store what was sent by the mailboxes and customers placed on `server`; returns the mailboxes that are not. One
    statement for each entry that belongs here, as many as changed since the last pull.
    """
    now = timezone.now()
    of = {kind: {UUID(one.subject): one for one in entries if one.subject_kind == kind} for kind in KINDS}
    placed = {"placement__server": server, "placement__placed_at__isnull": False}
    customers = Customer.objects.filter(pk__in=of["customer"], **placed).in_bulk()
    here = {f"domain__customer__{name}": value for name, value in placed.items()}
    mailboxes = Mailbox.objects.filter(pk__in=of["mailbox"], **here).select_related("domain").in_bulk()
    for key, mailbox in mailboxes.items():
        _put(mailbox, of["mailbox"][key], now)
    Mailbox.objects.bulk_update(mailboxes.values(), COUNTED) if mailboxes else None
    made = [_put(CustomerSending(customer=customers[key]), of["customer"][key], now) for key in customers]
    CustomerSending.objects.bulk_create(
        made, update_conflicts=True, unique_fields=["customer"], update_fields=COUNTED
    )
    _tell(mailboxes, now)
    return set(of["mailbox"]) - set(mailboxes)


KINDS = ("mailbox", "customer")
COUNTED = ["sent_in_hour", "sent_in_day", "hour_rolls_at", "day_rolls_at", "sent_reported_at"]


def _put(row: Any, sent: wire.Sent, now: datetime) -> Any:
    row.sent_in_hour, row.sent_in_day = min(sent.hour, MOST), min(sent.day, MOST)
    row.hour_rolls_at, row.day_rolls_at = _time(sent.hour_rolls_at, now), _time(sent.day_rolls_at, now)
    row.sent_reported_at = now
    return row


def _time(seconds: int | None, now: datetime) -> datetime | None:
    if seconds is None or not 0 < seconds - now.timestamp() < FARTHEST.total_seconds():
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _tell(mailboxes: dict[UUID, Mailbox], now: datetime) -> None:
    """Owe a mail for each that has nearly reached its limit and whose customer was not told within a day."""
    recently = now - TOLD_AGAIN_AFTER
    busy = [one for one in mailboxes.values() if one.sent_in_day and not one.deleted_at]
    due = [one for one in busy if one.send_warned_at is None or one.send_warned_at <= recently]
    if not due:
        return
    limits = limits_of(due)
    for mailbox in due:
        day = limits[mailbox.pk]
        if _is_near(mailbox.sent_in_day, day) or _is_near(mailbox.sent_in_hour, hour_of(day)):
            with unit_of_work():
                still = Mailbox.objects.filter(
                    Q(send_warned_at=None) | Q(send_warned_at__lte=recently), pk=mailbox.pk
                )
                if still.update(send_warned_at=now):
                    notices.send_notice(NOTICE, mailbox.pk)
                    customer, facts = mailbox.domain.customer_id, {"percent": NEARLY}
                    events.tell(customer, events.SENDING_NEAR, mailbox.address, facts)


def _is_near(sent: int, limit: int) -> bool:
    return 0 < limit * NEARLY <= sent * 100


def limits_of(mailboxes: Collection[Mailbox]) -> dict[UUID, int]:
    """`Mailbox.send_limit` of each, in two queries."""
    plans = limit_of_each({one.domain.customer_id for one in mailboxes}, Feature.SENDS_PER_DAY)
    raised = SendRaise.objects.filter(mailbox__in=[one.pk for one in mailboxes], lifted_at=None)
    raises = dict(raised.filter(until__gt=timezone.now()).values_list("mailbox_id", "sends_per_day"))
    return {
        one.pk: in_force(plans[one.domain.customer_id] or 0, one.sends_per_day, raises.get(one.pk))
        for one in mailboxes
    }


def tell_again(server: MailServer) -> None:
    """Its mailnode knows send limits from now on: send the rows that have some."""
    placed = Placement.objects.filter(server=server).exclude(placed_at=None)
    here = placed.values("customer")
    limited = Mailbox.objects.live().filter(domain__customer__in=here)
    limited = limited.filter(
        ~Q(sends_per_day=None) | Q(send_raises__lifted_at=None, send_raises__until__gt=timezone.now())
    )
    rows = [(Kind.MAILBOX, *row) for row in limited.values_list("pk", "domain__customer_id").distinct()]
    plans = Customer.objects.filter(pk__in=here).filter(
        Q(subscriptions__ended_at=None) & ~Q(subscriptions__version__sends_per_day=wire.SENDS_PER_DAY)
        | ~Q(sending__sends_per_day_in_sum=None)
    )
    rows += [(Kind.CUSTOMER, pk, pk) for pk in plans.values_list("pk", flat=True).distinct()]
    with unit_of_work():
        for kind, key, customer in rows:
            stamp(Customer(pk=customer), kind, key)


@notices.notice_kind(NOTICE, template="domains/emails/mailbox_sends")
def mailbox_sends(mailbox_id: str) -> tuple[list[str], dict[str, Any]]:
    from domains.dns_mail import people

    mailbox = Mailbox.objects.live().select_related("domain__customer").filter(pk=mailbox_id).first()
    if mailbox is None:
        return [], {}
    day = mailbox.send_limit
    context = {
        "mailbox": mailbox,
        "day": day,
        "hour": hour_of(day),
        "mailbox_url": settings.PANEL_URL + mailbox.get_absolute_url(),
    }
    return people(mailbox.customer), context
