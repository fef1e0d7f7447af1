"""Mailboxes and plans that are nearly full are told of, once for each threshold, and again only after they fell clearly
below it. A mailbox is told by a mail into itself; those who look after the customer's mailboxes get the plan, mailboxes
over the last threshold, and mailboxes that could not be told themselves, in one summary an hour at most.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from accounts.models import Customer, CustomerSuspension, Stop, Webhook
from accounts.notices import owe_notices
from accounts.webhooks import events
from domains.models import Mailbox, MailboxSuspension
from domains.models.quota_warning import QuotaSummary, QuotaWarning

MAILBOX = "quota.mailbox"
SUMMARY = "quota.summary"
THRESHOLDS = (80, 95)  # percent
CLEARLY = 5  # so many percent below its threshold a warning is over
BETWEEN = timedelta(
    days=1
)  # from one warning to the next of the same thing and threshold, however its use swings
HOURLY = timedelta(hours=1)
GATHERING = timedelta(minutes=1)  # before a summary goes: the pages of one pull come one after the other
JOINABLE = timedelta(seconds=5)  # a summary that is due sooner may be on its way

Thing = tuple[UUID, UUID | None]  # customer and mailbox; without one the plan


class Use(NamedTuple):
    """Bytes that a mailbox, or without one all mailboxes of the customer, hold, of those that they may hold."""

    customer: UUID
    mailbox: UUID | None
    used: int
    allowed: int

    @property
    def thing(self) -> Thing:
        return self.customer, self.mailbox

    def is_over(self, percent: int) -> bool:
        return self.used * 100 >= self.allowed * percent


def note_use(uses: Collection[Use]) -> None:
    """Begin and end warnings as these uses have it, and owe the mails; call inside the unit of work that takes them."""
    now = timezone.now()
    _end(uses, now)
    if not (begun := _begun(uses, now)):
        return
    customers = sorted({warning.customer_id for warning in begun})
    list(Customer.objects.select_for_update(no_key=True).only("pk").filter(pk__in=customers).order_by("pk"))
    begun = _begun(uses, now)  # another server's report may have been first
    undeliverable = _undeliverable(begun, uses)
    for customer in customers:
        told = [
            each for each in begun if each.customer_id == customer and _is_for_summary(each, undeliverable)
        ]
        if told:
            summary = _summary(customer, now)
            for warning in told:
                warning.summary = summary
    QuotaWarning.objects.bulk_create(begun)
    _tell(begun)
    highest = {warning.mailbox_id: warning.pk for warning in begun if warning.mailbox_id}
    owe_notices(MAILBOX, [pk for mailbox, pk in highest.items() if mailbox not in undeliverable])


def _tell(begun: Iterable[QuotaWarning]) -> None:
    """The webhooks of customers who have any."""
    listening = Webhook.objects.filter(customer__in={each.customer_id for each in begun})
    customers = dict(listening.values_list("customer", "customer__username"))
    told = [each for each in begun if each.customer_id in customers]
    mailboxes = Mailbox.objects.select_related("domain").in_bulk([each.mailbox_id for each in told])
    for each in sorted(told, key=lambda one: (one.customer_id, str(one.mailbox_id))):  # as everybody locks
        mailbox = mailboxes.get(each.mailbox_id)
        kind = events.STORAGE_NEAR if mailbox else events.PLAN_NEAR
        subject = mailbox.address if mailbox else customers[each.customer_id]
        events.tell(each.customer_id, kind, subject, {"percent": each.percent})


def _end(uses: Iterable[Use], now: datetime) -> None:
    """Those are over whose thing fell clearly below; one that may hold anything has no threshold."""
    use_of = {use.thing: use for use in uses}
    over = [
        warning.pk
        for warning in QuotaWarning.objects.filter(_about(use_of), ended_at=None)
        if not (use := use_of[warning.customer_id, warning.mailbox_id]).allowed
        or not use.is_over(warning.percent - CLEARLY)
    ]
    if over:
        QuotaWarning.objects.filter(pk__in=over).update(ended_at=now)


def _begun(uses: Iterable[Use], now: datetime) -> list[QuotaWarning]:
    """The warnings that are to be given, not yet saved; for each thing the highest comes last."""
    full = {use.thing: use for use in uses if use.allowed and use.is_over(THRESHOLDS[0])}
    if not full:
        return []
    recent = QuotaWarning.objects.filter(_about(full), Q(ended_at=None) | Q(at__gt=now - BETWEEN))
    given = set(recent.values_list("customer_id", "mailbox_id", "percent"))
    return [
        QuotaWarning(customer_id=use.customer, mailbox_id=use.mailbox, percent=percent, at=now)
        for use in full.values()
        for percent in THRESHOLDS
        if use.is_over(percent) and (*use.thing, percent) not in given
    ]


def _about(things: Iterable[Thing]) -> Q:
    things = list(things)
    mailboxes = [mailbox for _, mailbox in things if mailbox]
    plans = [customer for customer, mailbox in things if not mailbox]
    return Q(mailbox__in=mailboxes) | Q(mailbox=None, customer__in=plans)


def _undeliverable(begun: Iterable[QuotaWarning], uses: Iterable[Use]) -> set[UUID]:
    """The mailboxes among them that take no mail now: full, or stopped from receiving, also with their customer."""
    customer_of = {warning.mailbox_id: warning.customer_id for warning in begun if warning.mailbox_id}
    receive = {"stops__contains": [Stop.RECEIVE.value]}
    stopped = MailboxSuspension.objects.in_force().filter(mailbox__in=customer_of, **receive)
    whole = CustomerSuspension.objects.in_force().filter(customer__in=set(customer_of.values()), **receive)
    customers = set(whole.values_list("customer_id", flat=True))
    silent = {mailbox for mailbox, customer in customer_of.items() if customer in customers}
    full = {use.mailbox for use in uses if use.mailbox in customer_of and use.is_over(100)}
    return full | silent | set(stopped.values_list("mailbox_id", flat=True))


def _is_for_summary(warning: QuotaWarning, undeliverable: set[UUID]) -> bool:
    return (
        warning.mailbox_id is None or warning.percent == THRESHOLDS[-1] or warning.mailbox_id in undeliverable
    )


def _summary(customer: UUID, now: datetime) -> QuotaSummary:
    """The one that is still to come, or a new one an hour after the last; the customer is locked."""
    last = QuotaSummary.objects.filter(customer=customer).order_by("-due_at").first()
    if last and last.due_at > now + JOINABLE:
        return last
    due_at = max(now + GATHERING, last.due_at + HOURLY) if last else now + GATHERING
    summary = QuotaSummary.objects.create(customer_id=customer, due_at=due_at)
    owe_notices(SUMMARY, [summary.pk], at=due_at)
    return summary
