"""The check of an order: what we notice ourselves, who asks FraudRecord, when again, and what the answer means.

A check is claimed by a conditional update, so of any number of workers one asks. The claim is a lease: a worker that
dies holding it is followed by the sweep. The same details, of whatever order, are asked about by one worker at a time
and once in a day: they are known by a keyed hash of all of them together. The hashes that FraudRecord gets live in the
memory of the call alone.
"""

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts import audit
from accounts.models import User
from billing import fraudrecord
from billing.exempting import exemption_of
from billing.models import VERDICTS, FraudCheck, Order, OrderConflict, OrderSignal, OrderStatus, Outcome
from billing.own_signals import find_signals, keep_signals
from foundation.alone import alone
from foundation.unit_of_work import unit_of_work

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)  # the deadline of a call, the hashing on a busy machine, and room
LONGEST_WAIT = timedelta(hours=1)
SAME_DETAILS = timedelta(hours=24)  # a verdict about the same details holds so long
CODES_KEPT = timedelta(days=365)
ASKING = 0x6D78_6661  # "mxfa", our class of advisory locks
OTHERS_TURN = timedelta(seconds=3)  # after which we look whether the other worker has a verdict


@dataclass(frozen=True)
class Answer:
    """What a check came to: with a verdict, when it was given (`at`) and the keyed hash of the details (`digest`)."""

    outcome: Outcome
    verdict: fraudrecord.Verdict | None = None
    at: datetime | None = None
    digest: str = ""
    problem: str = ""


def check_order(order_id: UUID | str) -> bool:
    """Check one order and keep what it came to; false when it is not due or somebody else is at it."""
    now = timezone.now()
    check = FraudCheck.objects.filter(order_id=order_id)
    due = check.filter(next_ask_at__lte=now)
    if not due.update(next_ask_at=now + LEASE, attempts=F("attempts") + 1):
        return False
    order = Order.objects.with_facts().get(pk=order_id)
    if not order.may_be_checked:
        check.update(next_ask_at=None)
        return False
    signals = _look(order)
    if signals is None:
        # Where we cannot look ourselves, FraudRecord is not asked either: a person would have to look anyhow.
        _settle(order, Answer(Outcome.OUTAGE, problem="Our own signals could not be found."), [])
        return True
    if answer := _without_asking(order):
        _settle(order, answer, signals)
        return True
    details = details_of(order)
    digest = digest_of(details)
    with alone(ASKING, int.from_bytes(bytes.fromhex(digest)[:4], signed=True)) as mine:
        if not mine:
            check.update(next_ask_at=timezone.now() + OTHERS_TURN)
            return False
        _settle(order, _known(digest) or _ask(order, details, digest), signals)
    return True


def ask_again(order: Order, *, by: User) -> bool:
    """Staff want FraudRecord asked now; false when that is under way. OrderConflict where it must not be asked."""
    from billing.tasks import check_order as check_order_task

    with unit_of_work():
        order = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        check, now = order.fraud_check, timezone.now()
        if not order.may_be_checked:
            raise OrderConflict(
                "FraudRecord is asked only about orders that wait for a decision or for payment."
            )
        if off := "" if exemption_of(order) else fraudrecord.why_off(order.country):
            raise OrderConflict(off)
        if until := asked_until(check):
            raise OrderConflict(
                "FraudRecord has answered about these very details, and is not asked about the same again before "
                f"{until:%-d %B, %H:%M} UTC."
            )
        if check.next_ask_at and check.next_ask_at <= now + LEASE and not check.problem:
            return False
        check.next_ask_at, check.attempts = now, 0
        check.save(update_fields=["next_ask_at", "attempts"])
        audit.record("order.check_again", by=by, customer=order.customer, subject=order.number)
        check_order_task.delay_on_commit(str(order.pk))
        return True


def asked_until(check: FraudCheck) -> datetime | None:
    """Until when the verdict in force holds, so that nobody asks again; None when it may be asked."""
    until = check.verdict_at and check.verdict_at + SAME_DETAILS
    return until if until and until > timezone.now() and check.outcome in VERDICTS else None


def forget() -> None:
    """Forget what was kept for a time: keyed hashes after a day, codes of reports after a year."""
    now = timezone.now()
    FraudCheck.objects.exclude(digest="").filter(verdict_at__lte=now - SAME_DETAILS).update(digest="")
    FraudCheck.objects.exclude(code="").filter(verdict_at__lte=now - CODES_KEPT).update(code="")


def due_checks(limit: int = 200) -> list[UUID]:
    """Orders whose check is due, the one that waits longest first."""
    due = FraudCheck.objects.filter(next_ask_at__lte=timezone.now()).order_by("next_ask_at")
    return list(due.values_list("order_id", flat=True)[:limit])


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


def digest_of(details: dict[str, str]) -> str:
    """64 hex digits: a hash of what is sent, all together, keyed with our secret."""
    text = json.dumps(fraudrecord.normalised(details), sort_keys=True)
    return salted_hmac("billing.screening", text, algorithm="sha256").hexdigest()


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


def _without_asking(order: Order) -> Answer | None:
    """What the check comes to where nothing may be sent; None where FraudRecord is to be asked."""
    if exemption_of(order):
        # Who exempts is one person: what two have to decide about goes to them all the same.
        return Answer(Outcome.VOUCHED if order.needs_second else Outcome.EXEMPT)
    if fraudrecord.why_off(order.country):
        return Answer(Outcome.COUNTRY if fraudrecord.is_on() else Outcome.OFF)
    return None


def _known(digest: str) -> Answer | None:
    """The verdict of the last day about the same details, of this order or another; None without one."""
    fresh = FraudCheck.objects.filter(digest=digest, verdict_at__gt=timezone.now() - SAME_DETAILS)
    check = fresh.order_by("-verdict_at").first()
    if check is None or check.verdict is None:
        return None
    return Answer(outcome_of(check.verdict), check.verdict, check.verdict_at, digest)


def _ask(order: Order, details: dict[str, str], digest: str) -> Answer:
    try:
        with fraudrecord.telling_of_our_key():
            verdict = fraudrecord.query(details)
    except fraudrecord.FraudRecordError as error:
        level = logging.WARNING if error.retry else logging.ERROR
        logger.log(level, "Check of order %s: %s", order.number, error)
        return Answer(Outcome.OUTAGE if error.retry else Outcome.REFUSED, problem=str(error))
    except Exception as error:  # whatever breaks, the order goes to a person
        # The kind alone: its text could quote what was being sent.
        logger.error("Check of order %s broke: %s", order.number, type(error).__name__)
        return Answer(Outcome.OUTAGE, problem=f"The check broke: {type(error).__name__}.")
    return Answer(outcome_of(verdict), verdict, timezone.now(), digest)


def _settle(order: Order, answer: Answer, signals: list[OrderSignal]) -> None:
    """Keep the outcome and the signals; where it clears the order tell the customer, or start what is paid already."""
    with unit_of_work():
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        check, before = locked.fraud_check, locked.status
        if check.next_ask_at is None:
            return
        was = check.outcome
        _take(check, answer)
        check.save()
        keep_signals(locked, signals)
        if was != check.outcome:
            noticed = {"signals": [signal.kind for signal in signals]} if signals else {}
            after: dict[str, Any] = {"outcome": str(check.outcome), **noticed}
            audit.record(
                "order.check", by=None, customer=locked.customer, subject=locked.number,
                before={"outcome": was} if was else None, after=after,
            )  # fmt: skip
        if before != OrderStatus.UNPAID and locked.status == OrderStatus.UNPAID:
            locked._become_due(by=None)


def _take(check: FraudCheck, answer: Answer) -> None:
    """Write the answer into the check. A verdict is never overwritten by the lack of one, and outlasts an exemption."""
    now = timezone.now()
    check.answered_at, check.problem = now, answer.problem[:200]
    check.next_ask_at = now + wait_after(check.attempts) if answer.outcome == Outcome.OUTAGE else None
    check.outcome = answer.outcome
    if verdict := answer.verdict:
        check.value, check.count = verdict.value, verdict.count
        check.reliability, check.code = verdict.reliability, verdict.code
        check.verdict_at, check.digest = answer.at, answer.digest
    elif check.verdict and answer.outcome != Outcome.EXEMPT:
        check.outcome = outcome_of(check.verdict)
