"""What mail servers report of themselves: usage and last sign-ins, status. Hostile input: bounded by the wire
format, and taken only for mailboxes of customers that are placed there.
"""

import logging
import math
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from accounts.models import Customer
from billing.entitlements import Feature, limit_of_each, report_usage
from domains.driver import foreign
from domains.driver.agent import Agent, AgentError
from domains.driver.alone import PULL, alone
from domains.driver.points import note
from domains.driver.rows import SENDS_SINCE
from domains.models import Mailbox, MailServer, Placement, ServerSync
from domains.quota_warnings import Use, note_use
from domains.sending import take_sent, tell_again
from foundation.unit_of_work import unit_of_work
from mailnode import wire

logger = logging.getLogger(__name__)

# With the deadline of one more answer it ends before long, and keeps no worker; the next goes on from the cursor.
PULL_SECONDS = 8
MOST_BYTES = 2**63 - 1  # what the database can hold; only a lying server reports more
CLOCK_MAY_BE_OFF = timedelta(hours=2)


def pull(server: MailServer) -> None:
    """Take status and usage, unless another process is at it. AgentError when the server fails; usage alone that fails
    is noted, and keeps no change from going there.
    """
    with alone(PULL, server.pk) as mine:
        if mine:
            ends_at = time.monotonic() + PULL_SECONDS
            pull_status(server)
            _try_usage(server, ends_at)


def _try_usage(server: MailServer, ends_at: float) -> None:
    try:
        pull_usage(server, ends_at=ends_at)
    except AgentError as error:
        logger.warning("No usage from mail server %s: %s", server, error)
        note(server, usage_failed_at=server.sync.usage_failed_at or timezone.now())
    else:
        if server.sync.usage_failed_at:
            note(server, usage_failed_at=None)


def pull_status(server: MailServer, *, deadline: float | None = None) -> wire.Status:
    """Ask the server how it is, and keep that for staff."""
    status = Agent(server, deadline=deadline).status()
    now = timezone.now()
    reported = {
        "version": status.version,
        "wires": status.wires,
        "queue": status.queue,
        "rows": dict(status.rows),
        "lag_error": status.lag_error,
        "disk_total": status.disk.total,
        "disk_free": status.disk.free,
        "revision": status.revision,
        "mark": status.mark,
        "certificate_not_after": status.certificate_not_after,
        "agent_not_after": status.agent_not_after,
        "services": {service.name: service.running for service in status.services},
    }
    before, spoken = server.sync.wire, _common_wire(server, status)
    if spoken != before:  # whom role addresses lead to is said in newer ones alone
        Placement.objects.filter(server=server).update(contact_due_at=now)
    with unit_of_work():  # rows are read as the stored version has them: neither without the other
        if before < SENDS_SINCE <= spoken:
            tell_again(server)
        note(server, wire=spoken, reported=reported, reported_at=now, contact_at=now)
    return status


def _common_wire(server: MailServer, status: wire.Status) -> int:
    """The newest wire version that both sides speak; AgentError when there is none."""
    oldest, newest = status.wires
    common = min(wire.WIRES[1], newest)
    if common < max(wire.WIRES[0], oldest):
        raise AgentError(
            f"{server} speaks wire {oldest} to {newest}, this panel {wire.WIRES[0]} to {wire.WIRES[1]}: they may be "
            "one version apart. Upgrade the older one.",
            retry=False,
        )
    return common


def pull_usage(server: MailServer, *, ends_at: float = math.inf) -> None:
    """Take what changed since the last pull, in pages, the cursor kept with each; no further one after `ends_at`."""
    agent, cursor = Agent(server), server.sync.usage_cursor
    while time.monotonic() < ends_at:
        page = agent.usage(cursor)
        take_usage(server, page.entries)
        if others := take_sent(server, page.sent):
            foreign.refuse(server, others)
        if page.next == cursor:
            foreign.close_if_quiet(server)
            break
        cursor = page.next
        ServerSync.objects.filter(server=server).update(usage_cursor=cursor)


def take_usage(server: MailServer, entries: list[wire.Usage]) -> None:
    """Store usage and last sign-in of the mailboxes placed on `server`, and warn of what is nearly full; others are
    refused.
    """
    with unit_of_work():
        stored = _store(server, entries)
        if others := {UUID(entry.mailbox) for entry in entries} - {mailbox.pk for mailbox in stored}:
            foreign.refuse(server, others)
        if not stored:
            return
        totals = _report_totals({mailbox.customer for mailbox in stored})
        note_use([*(mailbox.use for mailbox in stored if not mailbox.deleted_at), *totals])


class _Stored(NamedTuple):
    pk: UUID
    customer: UUID
    used_bytes: int
    quota_mb: int
    deleted_at: datetime | None

    @property
    def use(self) -> Use:
        return Use(self.customer, self.pk, self.used_bytes, self.quota_mb << 20)


def _store(server: MailServer, entries: list[wire.Usage]) -> list[_Stored]:
    """Write the page in one statement; returns the mailboxes that were the server's to report."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE domains_mailbox AS mailbox
            SET used_bytes = seen.bytes,
                last_sign_in_at = greatest(seen.last_sign_in, mailbox.last_sign_in_at)
            FROM unnest(%s::uuid[], %s::bigint[], %s::timestamptz[]) AS seen(id, bytes, last_sign_in),
                 domains_domain AS domain, domains_placement AS placement
            WHERE mailbox.id = seen.id AND domain.id = mailbox.domain_id
              AND placement.customer_id = domain.customer_id
              AND placement.server_id = %s AND placement.placed_at IS NOT NULL
            RETURNING mailbox.id, domain.customer_id, mailbox.used_bytes, mailbox.quota_mb,
                      coalesce(mailbox.deleted_at, domain.deleted_at)
            """,
            [
                [UUID(entry.mailbox) for entry in entries],
                [entry.bytes for entry in entries],
                [_time(entry.last_sign_in, now) for entry in entries],
                server.pk,
            ],
        )
        return [_Stored(*row) for row in cursor.fetchall()]


def _report_totals(customers: set[UUID]) -> list[Use]:
    """Note what each of these customers uses in all; returns it with what its plan holds."""
    now = timezone.now()
    used = Mailbox.objects.filter(domain__customer__in=customers, deleted_at=None)
    sums = dict(used.values_list("domain__customer").annotate(total=Sum("used_bytes")).order_by())
    allowed = limit_of_each(customers, Feature.STORAGE_MB)
    totals = [
        Use(customer, None, min(int(sums.get(customer) or 0), MOST_BYTES), (allowed[customer] or 0) << 20)
        for customer in sorted(customers)
    ]
    for customer, total in zip(Customer.objects.filter(pk__in=customers).order_by("pk"), totals, strict=True):
        report_usage(customer, total.used, now)
    return totals


def _time(seconds: int | None, now: datetime) -> datetime | None:
    """A reported time, at the latest now where the server's clock is ahead; one that lies far in the future, or in no
    calendar, is none.
    """
    if seconds is None or seconds > (now + CLOCK_MAY_BE_OFF).timestamp():
        return None
    return min(datetime.fromtimestamp(seconds, UTC), now)
