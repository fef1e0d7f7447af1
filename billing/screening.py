"""The check of an order: what we notice ourselves, who asks FraudRecord, when again, and what the answer means.

A check is claimed by a conditional update, so of any number of workers one asks. The claim is a lease:
a worker that dies holding it is followed by the sweep. A report is claimed for good: nobody follows a worker
that may have sent it. The hashes live in the memory of the call alone.
"""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from accounts import audit, notices
from billing import fraudrecord
from billing.models import FraudCheck, FraudReport, Order, OrderSignal, OrderStatus, Outcome
from billing.own_signals import find_signals, keep_signals
from foundation.unit_of_work import unit_of_work

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)  # the deadline of a call, the hashing on a busy machine, and room
LONGEST_WAIT = timedelta(hours=1)
MAY_HAVE_ARRIVED = "It may have arrived: look there before sending another."


def check_order(order_id: UUID | str) -> bool:
    """Ask about one order and keep the verdict; false when it is not due or somebody else is asking."""
    now = timezone.now()
    claimed = FraudCheck.objects.filter(order_id=order_id, next_ask_at__lte=now).update(
        next_ask_at=now + LEASE, attempts=F("attempts") + 1
    )
    if not claimed:
        return False
    order = Order.objects.with_facts().get(pk=order_id)
    if order.status not in (OrderStatus.CHECKING, OrderStatus.REVIEW, OrderStatus.QUESTION):
        FraudCheck.objects.filter(order_id=order_id).update(next_ask_at=None)
        return False
    signals = _look(order)
    # Where we cannot look ourselves, FraudRecord is not asked either: a person would have to look anyhow.
    answer = _ask(order) if signals is not None else (Outcome.OUTAGE, None)
    _settle(order, *answer, signals or [])
    return True


def send_report(report_id: UUID | str) -> bool:
    """Send one filed report; false when it is not due or somebody else is sending it.

    A call that may have been taken although no answer came is not repeated: a person would be accused twice.
    """
    due = FraudReport.objects.filter(pk=report_id, next_try_at__lte=timezone.now())
    if not due.update(next_try_at=None, attempts=F("attempts") + 1, problem=f"Sending. {MAY_HAVE_ARRIVED}"):
        return False
    report = FraudReport.objects.select_related("order").get(pk=report_id)
    try:
        code = fraudrecord.report(
            details_of(report.order), kind=report.kind, severity=report.severity, text=report.text
        )
        outcome = {"sent_at": timezone.now(), "code": code, "problem": "", "next_try_at": None}
    except fraudrecord.FraudRecordError as error:
        again = timezone.now() + wait_after(report.attempts) if error.retry and not error.reached else None
        problem = f"{error} {MAY_HAVE_ARRIVED}" if error.reached else str(error)
        outcome = {"problem": problem[:200], "next_try_at": again}
    FraudReport.objects.filter(pk=report_id).update(**outcome)
    return True


def due_checks(limit: int = 200) -> list[UUID]:
    """Orders whose check is due, the one that waits longest first."""
    due = FraudCheck.objects.filter(next_ask_at__lte=timezone.now()).order_by("next_ask_at")
    return list(due.values_list("order_id", flat=True)[:limit])


def due_reports(limit: int = 200) -> list[UUID]:
    """Reports that wait to be sent."""
    due = FraudReport.objects.filter(next_try_at__lte=timezone.now()).order_by("next_try_at")
    return list(due.values_list("pk", flat=True)[:limit])


def details_of(order: Order) -> dict[str, str]:
    """What FraudRecord is asked about; the order page and the privacy notice name exactly these."""
    return {
        "name": order.name,
        "company": order.company,
        "email": order.email,
        "address": " ".join((order.street, order.city, order.region)),
        "phone": order.phone,
        "ip": order.client_address or "",
        "domain": order.domain,
    }


def wait_after(attempts: int) -> timedelta:
    """10 s after the first failure, twice as long after each further one, an hour at most."""
    return min(LONGEST_WAIT, timedelta(seconds=10 * 2 ** min(attempts - 1, 12)))


def outcome_of(verdict: fraudrecord.Verdict) -> Outcome:
    """What a verdict means here, by the thresholds in the settings. None of them refuses an order."""
    if (
        verdict.value >= settings.FRAUDRECORD_HOLD_VALUE
        and verdict.reliability >= settings.FRAUDRECORD_HOLD_RELIABILITY
        and verdict.count >= settings.FRAUDRECORD_HOLD_COUNT
    ):
        return Outcome.HELD
    return Outcome.REPORTED if verdict.count >= settings.FRAUDRECORD_REVIEW_COUNT else Outcome.CLEAN


def _look(order: Order) -> list[OrderSignal] | None:
    """What we ourselves notice about it; None when looking breaks."""
    try:
        return find_signals(order)
    except Exception as error:  # as below: the order goes to a person, and its details into no log
        logger.error("Signals of order %s broke: %s", order.number, type(error).__name__)
        return None


def _ask(order: Order) -> tuple[Outcome, fraudrecord.Verdict | None]:
    if not fraudrecord.is_on():
        return Outcome.OFF, None
    try:
        verdict = fraudrecord.query(details_of(order))
    except fraudrecord.FraudRecordError as error:
        logger.log(
            logging.WARNING if error.retry else logging.ERROR, "Check of order %s: %s", order.number, error
        )
        return Outcome.OUTAGE if error.retry else Outcome.REFUSED, None
    except Exception as error:  # whatever breaks, the order goes to a person
        # The kind alone: its text could quote what was being sent.
        logger.error("Check of order %s broke: %s", order.number, type(error).__name__)
        return Outcome.OUTAGE, None
    return outcome_of(verdict), verdict


def _settle(
    order: Order, outcome: Outcome, verdict: fraudrecord.Verdict | None, signals: list[OrderSignal]
) -> None:
    """Keep the outcome and the signals; tell the customer where it clears the order. A kept verdict is never overwritten."""
    with unit_of_work():
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        check, before = locked.fraud_check, locked.status
        if check.next_ask_at is None:
            return
        changed, check.outcome = check.outcome != outcome, outcome
        check.answered_at = timezone.now()
        check.next_ask_at = timezone.now() + wait_after(check.attempts) if outcome == Outcome.OUTAGE else None
        if verdict:
            check.value, check.count = verdict.value, verdict.count
            check.reliability, check.code = verdict.reliability, verdict.code
        check.save()
        keep_signals(locked, signals)
        if changed:
            noticed = {"signals": [signal.kind for signal in signals]} if signals else {}
            after: dict[str, Any] = {"outcome": outcome.value, **noticed}
            audit.record("order.check", by=None, customer=locked.customer, subject=locked.number, after=after)
        if before != OrderStatus.UNPAID and locked.status == OrderStatus.UNPAID:
            notices.send_notice("order.approved", locked.pk)
