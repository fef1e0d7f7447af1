"""Reports about customers that staff send to FraudRecord, and take back.

A report is claimed for good: nobody follows a worker that may have sent it, or a person would be accused twice
(docs/adr/0006). A deletion is claimed by a lease and repeated until FraudRecord confirms it.
"""

from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from accounts import audit
from accounts.models import User
from billing import fraudrecord
from billing.models import ERASED_EMAIL, FraudReport, Order, OrderConflict, ReportState, ReportWithdrawal
from billing.screening import CODES_KEPT, LEASE, details_of, wait_after
from foundation.unit_of_work import unit_of_work

MAY_HAVE_ARRIVED = "It may have arrived: look there before sending another."
MOST_DELETIONS = 30  # tries, about a day


def file_report(order: Order, *, kind: str, severity: int, text: str, by: User) -> FraudReport:
    """Report the customer (a task sends it). The same again is the one already filed; one that could not be sent is
    tried anew. OrderConflict where nothing may be sent about the customer, or the same was withdrawn before.
    """
    from billing.tasks import send_report as send_report_task

    if off := fraudrecord.why_off(order.country):
        raise OrderConflict(off)
    with unit_of_work():
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        report, made = FraudReport.objects.get_or_create(
            order=locked, kind=kind, severity=severity, text=text, defaults={"by": by}
        )
        if report.state in (ReportState.WITHDRAWING, ReportState.WITHDRAWN):
            raise OrderConflict(
                "This very report was withdrawn. If it is right after all, say in its text what is new."
            )
        if made or report.state == ReportState.FAILED:
            report.next_try_at, report.problem = timezone.now(), ""
            report.save(update_fields=["next_try_at", "problem"])
            audit.record(
                "report.file", by=by, customer=locked.customer, subject=locked.number,
                after={"type": kind, "severity": severity, "text": text},
            )  # fmt: skip
            send_report_task.delay_on_commit(str(report.pk))
        return report


def withdraw_report(report: FraudReport, *, reason: str, by: User) -> ReportWithdrawal:
    """Take a report back: one that is there is deleted by a task, one that waits is not sent, and of one without a
    code the person says that it is not there. Again: a deletion that was given up is tried anew. OrderConflict while
    the report is being sent.
    """
    from billing.tasks import send_withdrawal as send_withdrawal_task

    with unit_of_work():
        report = FraudReport.objects.select_for_update(of=("self",)).select_related("order").get(pk=report.pk)
        if report.is_unclear and report.tried_at and report.tried_at > timezone.now() - LEASE:
            raise OrderConflict("The report is being sent at this moment. Try again in a minute.")
        withdrawal, made = ReportWithdrawal.objects.get_or_create(
            report=report, defaults={"reason": reason, "by": by}
        )
        if made:
            FraudReport.objects.filter(pk=report.pk).update(next_try_at=None)
            audit.record(
                "report.withdraw", by=by, customer=report.order.customer, subject=report.order.number,
                after={"type": report.kind, "severity": report.severity, "reason": reason},
            )  # fmt: skip
        if not report.code:
            withdrawal.gone_at = withdrawal.gone_at or timezone.now()
        elif not withdrawal.gone_at and withdrawal.next_try_at is None:
            withdrawal.next_try_at, withdrawal.attempts = timezone.now(), 0
            send_withdrawal_task.delay_on_commit(withdrawal.pk)
        withdrawal.save()
        return withdrawal


def send_report(report_id: UUID | str) -> bool:
    """Send one filed report; false when it is not due, somebody else is sending it, or it must not be sent any more.

    A call that may have been taken although no answer came is not repeated: a person would be accused twice.
    """
    now = timezone.now()
    due = FraudReport.objects.filter(pk=report_id, next_try_at__lte=now)
    claim = {"next_try_at": None, "tried_at": now, "is_unclear": True}
    if not due.update(attempts=F("attempts") + 1, problem=f"Sending. {MAY_HAVE_ARRIVED}", **claim):
        return False
    report = FraudReport.objects.select_related("order", "withdrawal").get(pk=report_id)
    if why_not := _why_not(report):
        FraudReport.objects.filter(pk=report_id).update(
            problem=f"Not sent: {why_not}"[:200], is_unclear=False
        )
        return False
    outcome: dict[str, Any]
    try:
        with fraudrecord.telling_of_our_key():
            code = fraudrecord.report(
                details_of(report.order), kind=report.kind, severity=report.severity, text=report.text
            )
        outcome = {"sent_at": timezone.now(), "code": code, "problem": "", "is_unclear": False}
    except fraudrecord.FraudRecordError as error:
        again = timezone.now() + wait_after(report.attempts) if error.retry and not error.reached else None
        problem = f"{error} {MAY_HAVE_ARRIVED}" if error.reached else str(error)
        outcome = {"problem": problem[:200], "next_try_at": again, "is_unclear": error.reached}
    _keep(report_id, outcome)
    return True


def _why_not(report: FraudReport) -> str:
    """Why it must not be sent any more, though it was filed; empty where it may."""
    if hasattr(report, "withdrawal"):
        return "the report was withdrawn."
    if report.order.email == ERASED_EMAIL:
        return "the order was erased."
    return fraudrecord.why_off(report.order.country)


def _keep(report_id: UUID | str, outcome: dict[str, Any]) -> None:
    """Keep what sending came to. One that was withdrawn meanwhile is not tried again, and deleted if it is there."""
    with unit_of_work():
        FraudReport.objects.select_for_update().only("pk").get(pk=report_id)
        withdrawal = ReportWithdrawal.objects.filter(report__pk=report_id)
        if withdrawal.exists():
            outcome = {**outcome, "next_try_at": None}
            if outcome.get("code"):
                withdrawal.update(
                    gone_at=None, next_try_at=timezone.now(), attempts=0
                )  # the sweep deletes it
        FraudReport.objects.filter(pk=report_id).update(**outcome)


def send_withdrawal(withdrawal_id: int) -> bool:
    """Delete one withdrawn report at FraudRecord; false when it is not due or somebody else is at it."""
    now = timezone.now()
    due = ReportWithdrawal.objects.filter(pk=withdrawal_id, next_try_at__lte=now)
    if not due.update(next_try_at=now + LEASE, attempts=F("attempts") + 1):
        return False
    withdrawal = ReportWithdrawal.objects.select_related("report").get(pk=withdrawal_id)
    gone: dict[str, Any] = {"gone_at": now, "next_try_at": None, "problem": "", "is_unclear": False}
    try:
        with fraudrecord.telling_of_our_key():
            fraudrecord.delete(withdrawal.report.code)
        outcome = gone
    except fraudrecord.FraudRecordError as error:
        if error.refusal == "ERR:DATA" and withdrawal.is_unclear:
            outcome = gone  # an earlier try has arrived, and the service knows no such report any more
        else:
            again = error.retry and withdrawal.attempts < MOST_DELETIONS
            outcome = {
                "problem": str(error)[:200],
                "next_try_at": timezone.now() + wait_after(withdrawal.attempts) if again else None,
                "is_unclear": withdrawal.is_unclear or error.reached,
            }
    ReportWithdrawal.objects.filter(pk=withdrawal_id).update(**outcome)
    return True


def due_reports(limit: int = 200) -> list[UUID]:
    """Reports that wait to be sent."""
    due = FraudReport.objects.filter(next_try_at__lte=timezone.now()).order_by("next_try_at")
    return list(due.values_list("pk", flat=True)[:limit])


def due_withdrawals(limit: int = 200) -> list[int]:
    """Withdrawn reports that wait to be deleted."""
    due = ReportWithdrawal.objects.filter(next_try_at__lte=timezone.now()).order_by("next_try_at")
    return list(due.values_list("pk", flat=True)[:limit])


def forget_withdrawn() -> None:
    """Forget the codes of reports that have been gone for a year; of one that stands, the code is what takes it back."""
    gone = FraudReport.objects.filter(withdrawal__gone_at__lte=timezone.now() - CODES_KEPT)
    gone.exclude(code="").update(code="")
