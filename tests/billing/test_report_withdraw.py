"""Taking a report to FraudRecord back: deleted there, once it is confirmed, or never sent."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from billing import fraudrecord as service
from billing import reporting, tasks
from billing.models import FraudReport, Order, ReportWithdrawal
from deploy.fraudrecord import Server
from tests.billing.conftest import check

AsPerson = Callable[[User], Client]
Make = Callable[..., Order]


@pytest.fixture
def order(ordered: Make, fraudrecord: Server) -> Order:
    return ordered()


def filed(order: Order, sam: User, *, text: str = "Sent spam.") -> FraudReport:
    report = reporting.file_report(order, kind="spam", severity=3, text=text, by=sam)
    tasks.send_report(str(report.pk))
    report.refresh_from_db()
    return report


def withdraw(client: Client, report: FraudReport, **changes: str) -> Any:
    form = {"which": str(report.pk), "reason": "It was somebody else"} | changes
    return client.post(f"/admin/review/{report.order.number}/report/withdraw/", form)


def deleted(report: FraudReport) -> ReportWithdrawal:
    """After a worker tried to delete it."""
    ReportWithdrawal.objects.exclude(next_try_at=None).update(next_try_at=timezone.now())
    tasks.send_withdrawal(report.withdrawal.pk)
    return ReportWithdrawal.objects.get(report=report)


def state(report: FraudReport) -> str:
    return FraudReport.objects.get(pk=report.pk).state


def test_works(order: Order, sam: User, as_: AsPerson, fraudrecord: Server) -> None:
    report, client = filed(order, sam), as_(sam)
    assert report.code in fraudrecord.ledger.reports
    html = client.get(f"/admin/review/{order.number}/").content.decode()
    assert f'href="https://www.fraudrecord.com/api/?showreport={report.code}"' in html
    answer = withdraw(client, report)
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/review/{order.number}/")
    assert state(report) == "withdrawing"
    assert report.code in fraudrecord.ledger.reports
    assert deleted(report).gone_at
    assert report.code not in fraudrecord.ledger.reports
    assert state(report) == "withdrawn"
    entry = AuditEntry.objects.get(action="report.withdraw")
    assert (entry.by, entry.after["reason"]) == (sam, "It was somebody else")
    html = client.get(f"/admin/review/{order.number}/").content.decode()
    assert 'data-report="withdrawn"' in html
    assert "It was somebody else" in html


@pytest.mark.parametrize("who", ["alice", "mallory"])
def test_others_get_403(
    order: Order, sam: User, as_: AsPerson, request: pytest.FixtureRequest, who: str
) -> None:
    assert withdraw(as_(request.getfixturevalue(who)), filed(order, sam)).status_code == 403
    assert not ReportWithdrawal.objects.exists()


def test_a_report_of_another_order_is_not_there(
    order: Order, ordered: Make, sam: User, as_: AsPerson
) -> None:
    report = filed(ordered(), sam)
    form = {"which": str(report.pk), "reason": "No"}
    assert as_(sam).post(f"/admin/review/{order.number}/report/withdraw/", form).status_code == 404
    form["which"] = str(uuid4())
    assert as_(sam).post(f"/admin/review/{order.number}/report/withdraw/", form).status_code == 404
    assert not ReportWithdrawal.objects.exists()


def test_twice_is_one_withdrawal(order: Order, sam: User, as_: AsPerson) -> None:
    report, client = filed(order, sam), as_(sam)
    for reason in ("First", "Second"):
        assert withdraw(client, report, reason=reason).status_code == 302
    assert ReportWithdrawal.objects.get().reason == "First"
    assert deleted(report).gone_at
    assert withdraw(client, report).status_code == 302
    assert ReportWithdrawal.objects.get().next_try_at is None
    assert AuditEntry.objects.filter(action="report.withdraw").count() == 1


@pytest.mark.parametrize("changes", [{"reason": ""}, {"reason": "two\nlines"}, {"reason": "x" * 301}])
def test_what_is_wrong_is_said(order: Order, sam: User, as_: AsPerson, changes: dict[str, str]) -> None:
    answer = withdraw(as_(sam), filed(order, sam), **changes)
    assert answer.status_code == 422
    assert 'id="id_reason_error"' in answer.content.decode()
    assert not ReportWithdrawal.objects.exists()


@pytest.mark.parametrize("which", ["nonsense", "", "nul\0", "9" * 40])
def test_no_report_at_all(order: Order, sam: User, as_: AsPerson, which: str) -> None:
    answer = withdraw(as_(sam), filed(order, sam), which=which)
    assert answer.status_code == 409
    assert "There is no such report" in answer.content.decode()
    assert not ReportWithdrawal.objects.exists()


def test_one_that_waits_is_not_sent(order: Order, sam: User, as_: AsPerson, fraudrecord: Server) -> None:
    report = reporting.file_report(order, kind="spam", severity=3, text="Sent spam.", by=sam)
    assert withdraw(as_(sam), report).status_code == 302
    assert state(report) == "withdrawn"
    assert not reporting.send_report(report.pk)
    assert not fraudrecord.ledger.reports


def test_one_that_may_have_arrived_is_looked_for_by_people(
    ordered: Make, sam: User, as_: AsPerson, fraudrecord: Server
) -> None:
    report, client = filed(ordered(name="Fraud Hangup"), sam), as_(sam)
    assert state(report) == "unclear"
    assert withdraw(client, report).status_code == 409  # its worker may still be at it
    FraudReport.objects.update(tried_at=timezone.now() - timedelta(minutes=1))
    html = client.get(f"/admin/review/{report.order.number}/").content.decode()
    assert "Sign in at fraudrecord.com" in html
    assert "It is not there any more" in html
    assert withdraw(client, report).status_code == 302
    assert state(report) == "withdrawn"


def test_an_outage_is_waited_out(order: Order, sam: User, as_: AsPerson, settings: Any) -> None:
    report = filed(order, sam)
    url, settings.FRAUDRECORD_URL = settings.FRAUDRECORD_URL, "http://127.0.0.1:1/api/"
    withdraw(as_(sam), report)
    withdrawal = deleted(report)
    assert withdrawal.next_try_at > timezone.now()
    assert withdrawal.problem
    assert reporting.due_withdrawals() == []
    settings.FRAUDRECORD_URL = url
    withdrawal = deleted(report)
    assert withdrawal.gone_at
    assert withdrawal.problem == ""


def test_a_lost_answer_does_no_harm(
    order: Order, sam: User, as_: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, delete = filed(order, sam), service.delete

    def lose(code: str) -> None:
        delete(code)
        raise service.FraudRecordError("No answer.", retry=True, reached=True)

    monkeypatch.setattr(service, "delete", lose)
    withdraw(as_(sam), report)
    assert deleted(report).gone_at is None
    monkeypatch.setattr(service, "delete", delete)
    assert deleted(report).gone_at  # ERR:DATA: it is gone


def test_what_is_refused_is_said_and_can_be_tried_again(
    order: Order, sam: User, as_: AsPerson, settings: Any, fraudrecord: Server
) -> None:
    report, client = filed(order, sam), as_(sam)
    key, settings.FRAUDRECORD_API_KEY = settings.FRAUDRECORD_API_KEY, "wrong"
    withdraw(client, report)
    withdrawal = deleted(report)
    assert (withdrawal.gone_at, withdrawal.next_try_at) == (None, None)
    html = client.get(f"/admin/review/{order.number}/").content.decode()
    assert "ERR:API" in html
    assert "Try to delete it again" in html
    settings.FRAUDRECORD_API_KEY = key
    assert withdraw(client, report).status_code == 302
    assert deleted(report).gone_at
    assert not fraudrecord.ledger.reports


def test_an_unknown_code_is_not_taken_for_deleted(
    order: Order, sam: User, as_: AsPerson, fraudrecord: Server
) -> None:
    report = filed(order, sam)
    fraudrecord.ledger.reports.clear()
    withdraw(as_(sam), report)
    withdrawal = deleted(report)
    assert withdrawal.gone_at is None
    assert "ERR:DATA" in withdrawal.problem


def test_it_is_given_up_after_a_day(order: Order, sam: User, as_: AsPerson, settings: Any) -> None:
    report = filed(order, sam)
    withdraw(as_(sam), report)
    settings.FRAUDRECORD_URL = "http://127.0.0.1:1/api/"
    ReportWithdrawal.objects.update(attempts=reporting.MOST_DELETIONS)
    assert deleted(report).is_given_up


def test_the_very_same_is_not_filed_again(order: Order, sam: User, as_: AsPerson) -> None:
    report, client = filed(order, sam), as_(sam)
    withdraw(client, report)
    form = {"type": "spam", "severity": "3", "text": "Sent spam."}
    answer = client.post(f"/admin/review/{order.number}/report/", form)
    assert answer.status_code == 409
    assert "withdrawn" in answer.content.decode()
    assert client.post(f"/admin/review/{order.number}/report/", form | {"text": "More"}).status_code == 302


def test_its_code_goes_after_a_year_and_that_of_one_that_stands_does_not(
    order: Order, sam: User, as_: AsPerson
) -> None:
    gone, stands = filed(order, sam), filed(order, sam, text="Sent more.")
    withdraw(as_(sam), gone)
    deleted(gone)
    ReportWithdrawal.objects.update(gone_at=timezone.now() - timedelta(days=366))
    FraudReport.objects.update(
        at=timezone.now() - timedelta(days=800), sent_at=timezone.now() - timedelta(days=800)
    )
    tasks.sweep_fraud_records()
    assert FraudReport.objects.get(pk=gone.pk).code == ""
    assert FraudReport.objects.get(pk=stands.pk).code


def test_the_sweep_hands_out_hints(
    order: Order, sam: User, as_: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = filed(order, sam)
    withdraw(as_(sam), report)
    hints: list[Any] = []
    monkeypatch.setattr(
        tasks.send_withdrawal, "apply_async", lambda args, **options: hints.append((args, options))
    )
    tasks.sweep_reports()
    assert hints == [((report.withdrawal.pk,), {"expires": 10})]


def test_get_is_405(order: Order, sam: User, as_: AsPerson) -> None:
    assert as_(sam).get(f"/admin/review/{check(order).number}/report/withdraw/").status_code == 405
