"""Reporting a customer to FraudRecord: by staff, without personal data, sent once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from billing import reporting, tasks
from billing.fraudrecord import FraudRecordError
from billing.models import ERASED_EMAIL, FraudReport, Order, ReportWithdrawal
from deploy.fraudrecord import Server

AsPerson = Callable[[User], Client]
REPORT = {"type": "spam", "severity": "7", "text": "Sent unsolicited mail within an hour of activation."}


@pytest.fixture
def order(ordered: Callable[..., Order], fraudrecord: Server) -> Order:
    return ordered(
        name="Jos\u00e9 Ejemplar", street="12 Calle Mayor", domain="ejemplar.test", company="Ejemplar SL"
    )


def file(client: Client, order: Order, **changes: str) -> Any:
    return client.post(f"/admin/review/{order.number}/report/", REPORT | changes)


def test_works(order: Order, sam: User, as_: AsPerson, fraudrecord: Server) -> None:
    client = as_(sam)
    answer = file(client, order)
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/review/{order.number}/")
    report = FraudReport.objects.get()
    tasks.send_report(str(report.pk))
    report.refresh_from_db()
    assert report.sent_at
    assert report.next_try_at is None
    filed = fraudrecord.ledger.reports[report.code]
    assert (filed.kind, filed.value, filed.text) == ("spam", 7, REPORT["text"])
    assert AuditEntry.objects.get(action="report.file").by == sam
    assert report.code in client.get(f"/admin/review/{order.number}/").content.decode()


@pytest.mark.parametrize("who", ["alice", "mallory"])
def test_others_get_403(order: Order, as_: AsPerson, request: pytest.FixtureRequest, who: str) -> None:
    assert file(as_(request.getfixturevalue(who)), order).status_code == 403
    assert FraudReport.objects.count() == 0


def test_twice_is_one_report_sent_once(order: Order, sam: User, as_: AsPerson, fraudrecord: Server) -> None:
    client = as_(sam)
    known = len(fraudrecord.ledger.reports)
    for _ in range(2):
        assert file(client, order).status_code == 302
    report = FraudReport.objects.get()
    for _ in range(2):
        tasks.send_report(str(report.pk))
    assert len(fraudrecord.ledger.reports) == known + 1


PERSONAL = [
    "Jos\u00e9 Ejemplar did it",
    "It was JOSE  EJEMPLAR.",
    "It was Ejemplar, Jos\u00e9",
    "mail from alice@example.test",
    "mail from ALICE@Example.Test!",
    "lives at 12 calle mayor",
    "in springfield somewhere",
    "postcode 12345",
    "call +49-30-123 45 67",
    "call 4930/1234567 now",
    "of Ejemplar SL",
    "domain ejemplar.test",
    "from 198.51.100.7",
    "mail from alice at example dot test",
    "from Al\u200bice@example.test",
    "Money went to Ejemplar, we think.",
    "EJEMPLAR again",
    "write to somebody.else@elsewhere.example",
    "came from 203.0.113.99 at night",
    "came from 2001:db8:1:2::3 at night",
    "paid with 4111 1111 1111 1111",
]

IMPERSONAL = [
    "Sent 40,000 messages on 2026-11-28 12:30, all spam; 3.2.1 of the terms.",
    "Charged back 59.00 USD after 30 days, twice.",
    "An ejemplar of a spammer: 10:15:30 to 11:00.",
]


@pytest.mark.parametrize("text", IMPERSONAL)
def test_what_happened_may_be_said(order: Order, sam: User, as_: AsPerson, text: str) -> None:
    assert file(as_(sam), order, text=text).status_code == 302


@pytest.mark.parametrize("text", PERSONAL)
def test_personal_data_is_refused(order: Order, sam: User, as_: AsPerson, text: str) -> None:
    answer = file(as_(sam), order, text=text)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert 'id="id_text_error"' in html
    assert "public" in html
    assert FraudReport.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": ""}, "type"),
        ({"type": "a\nb"}, "type"),
        ({"severity": "0"}, "severity"),
        ({"severity": "11"}, "severity"),
        ({"severity": "7.5"}, "severity"),
        ({"severity": ""}, "severity"),
        ({"text": ""}, "text"),
        ({"text": "x" * 501}, "text"),
        ({"text": "nul\0"}, "text"),
    ],
)
def test_what_is_wrong_is_said(
    order: Order, sam: User, as_: AsPerson, changes: dict[str, str], field: str
) -> None:
    answer = file(as_(sam), order, **changes)
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert FraudReport.objects.count() == 0


def test_without_a_key_there_is_nothing_to_file(
    order: Order, sam: User, as_: AsPerson, settings: Any
) -> None:
    settings.FRAUDRECORD_API_KEY = ""
    assert file(as_(sam), order).status_code == 409
    assert FraudReport.objects.count() == 0


def test_nothing_is_filed_about_countries_that_are_switched_off(
    order: Order, sam: User, as_: AsPerson, settings: Any
) -> None:
    settings.FRAUDRECORD_OFF_COUNTRIES = ["DE"]
    answer = file(as_(sam), order)
    assert answer.status_code == 409
    assert "switched off for this country" in answer.content.decode()
    assert FraudReport.objects.count() == 0


def test_one_that_was_refused_is_sent_when_it_is_filed_again(
    order: Order, sam: User, as_: AsPerson, settings: Any
) -> None:
    key, settings.FRAUDRECORD_API_KEY = settings.FRAUDRECORD_API_KEY, "wrong"
    file(as_(sam), order)
    report = make_due(FraudReport.objects.get())
    assert (report.state, report.next_try_at) == ("failed", None)
    settings.FRAUDRECORD_API_KEY = key
    file(as_(sam), order)
    assert make_due(report).state == "sent"
    assert FraudReport.objects.count() == 1


def make_due(report: FraudReport) -> FraudReport:
    FraudReport.objects.exclude(next_try_at=None).update(next_try_at=timezone.now() - timedelta(seconds=1))
    tasks.send_report(str(report.pk))
    report.refresh_from_db()
    return report


def test_an_outage_is_waited_out(order: Order, sam: User, settings: Any, fraudrecord: Server) -> None:
    url, settings.FRAUDRECORD_URL = settings.FRAUDRECORD_URL, "http://127.0.0.1:1/api/"
    report = make_due(reporting.file_report(order, kind="spam", severity=1, text="x", by=sam))
    assert report.next_try_at > timezone.now()
    assert report.problem
    assert reporting.due_reports() == []
    settings.FRAUDRECORD_URL = url
    report = make_due(report)
    assert report.code
    assert report.problem == ""


@pytest.mark.parametrize("name", ["Fraud Hangup", "Fraud Outage"])
def test_one_that_may_have_arrived_is_left_to_people(
    ordered: Callable[..., Order], sam: User, fraudrecord: Server, name: str
) -> None:
    report = make_due(reporting.file_report(ordered(name=name), kind="spam", severity=1, text="x", by=sam))
    assert report.next_try_at is None
    assert report.sent_at is None
    assert "may have arrived" in report.problem


def test_nobody_follows_a_worker_that_died_sending(
    order: Order, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: Any, **words: Any) -> str:
        raise SystemExit

    monkeypatch.setattr(reporting.fraudrecord, "report", die)
    report = reporting.file_report(order, kind="spam", severity=1, text="x", by=sam)
    with pytest.raises(SystemExit):
        reporting.send_report(report.pk)
    report.refresh_from_db()
    assert report.next_try_at is None
    assert report.sent_at is None
    assert "may have arrived" in report.problem


def test_get_is_405(order: Order, sam: User, as_: AsPerson) -> None:
    assert as_(sam).get(f"/admin/review/{order.number}/report/").status_code == 405


def test_the_same_again_says_what_is_so(order: Order, sam: User, as_: AsPerson, settings: Any) -> None:
    client = as_(sam)

    def said() -> str:
        page: str = client.get(file(client, order)["Location"]).content.decode()
        return page

    url, settings.FRAUDRECORD_URL = settings.FRAUDRECORD_URL, "http://127.0.0.1:1/api/"
    assert "sent to FraudRecord within seconds" in said()
    make_due(FraudReport.objects.get())
    page = said()
    assert "It waits, because FraudRecord cannot be reached" in page
    assert "within seconds" not in page
    settings.FRAUDRECORD_URL = url
    assert make_due(FraudReport.objects.get()).state == "sent"
    page = said()
    assert "filed before and is not sent again. At FraudRecord." in page
    assert "within seconds" not in page
    assert AuditEntry.objects.filter(action="report.file").count() == 1


@pytest.mark.parametrize("change", ["erased", "off", "withdrawn"])
def test_what_must_not_be_sent_any_more_is_not_sent(
    order: Order, sam: User, fraudrecord: Server, settings: Any, change: str
) -> None:
    report = reporting.file_report(order, kind="spam", severity=1, text="x", by=sam)
    if change == "erased":  # at the moment at which a worker had taken it up
        Order.objects.filter(pk=order.pk).update(email=ERASED_EMAIL)
    elif change == "off":
        settings.FRAUDRECORD_OFF_COUNTRIES = ["DE"]
    else:
        ReportWithdrawal.objects.create(report=report, reason="wrong", by=sam)
    assert make_due(report).problem.startswith("Not sent: ")
    assert (report.next_try_at, report.is_unclear, report.sent_at) == (None, False, None)
    assert not fraudrecord.ledger.reports
    assert reporting.due_reports() == []


@pytest.mark.parametrize("arrives", [True, False])
def test_one_that_is_withdrawn_while_it_is_sent_does_not_stay(
    order: Order,
    sam: User,
    settings: Any,
    fraudrecord: Server,
    monkeypatch: pytest.MonkeyPatch,
    arrives: bool,
) -> None:
    report = reporting.file_report(order, kind="spam", severity=1, text="x", by=sam)
    send = reporting.fraudrecord.report

    def withdrawn_meanwhile(*args: Any, **words: Any) -> str:
        FraudReport.objects.update(tried_at=timezone.now() - timedelta(minutes=1))  # it takes very long
        reporting.withdraw_report(report, reason="wrong", by=sam)
        if not arrives:
            raise FraudRecordError("No answer.", retry=True)
        return send(*args, **words)

    monkeypatch.setattr(reporting.fraudrecord, "report", withdrawn_meanwhile)
    assert make_due(report).next_try_at is None
    assert report.state == ("withdrawing" if arrives else "withdrawn")
    for withdrawal in reporting.due_withdrawals():
        reporting.send_withdrawal(withdrawal)
    assert not fraudrecord.ledger.reports
    assert FraudReport.objects.get().state == "withdrawn"
