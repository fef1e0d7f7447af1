"""The check of an order: each verdict, outages, two workers at once, and nothing kept but the verdict."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import serializers
from django.db import connection
from django.utils import timezone

from accounts.models import AuditEntry, Notice, User
from billing import fraudrecord as service
from billing import screening, tasks
from billing.models import FraudCheck, Order
from deploy.fraudrecord import Server
from domains.models import Pulse
from tests.at_once import at_once
from tests.billing.conftest import check, days_pass, fresh

Make = Callable[..., Order]


def test_clean_goes_on_to_payment_and_says_how(ordered: Make, fraudrecord: Server) -> None:
    order = check(ordered())
    assert order.status == "unpaid"
    assert order.fraud_check.outcome == "clean"
    assert order.fraud_check.next_ask_at is None
    assert Notice.objects.filter(kind="order.approved", subject_id=str(order.pk)).count() == 1
    assert AuditEntry.objects.get(action="order.check").after == {"outcome": "clean"}


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("Fraud Reported", "reported"),
        ("Fraud Held", "held"),
        ("Fraud Outage", "outage"),
        ("Fraud Html", "outage"),
        ("Fraud Malformed", "outage"),
        ("Fraud Badkey", "refused"),
        ("Fraud Unapproved", "refused"),
        ("Fraud Nodata", "refused"),
    ],
)
def test_everything_else_goes_to_staff(ordered: Make, fraudrecord: Server, name: str, outcome: str) -> None:
    order = check(ordered(name=name))
    assert (order.status, order.fraud_check.outcome) == ("review", outcome)
    assert (order.fraud_check.next_ask_at is not None) == (outcome == "outage")
    assert not Notice.objects.filter(kind="order.approved").exists()


def test_off_goes_to_staff(in_review: Order) -> None:
    assert (in_review.status, in_review.fraud_check.outcome) == ("review", "off")
    assert in_review.fraud_check.next_ask_at is None


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((9, 5, "10.0"), "reported"),
        ((10, 1, "10.0"), "reported"),
        ((10, 2, "4.9"), "reported"),
        ((10, 2, "5.0"), "held"),
        ((0, 0, "0.0"), "clean"),
    ],
)
def test_thresholds(answer: tuple[int, int, str], outcome: str, settings: Any) -> None:
    verdict = service.Verdict(answer[0], answer[1], Decimal(answer[2]), "cf2b27b5556c2ddc")
    assert screening.outcome_of(verdict) == outcome
    settings.FRAUDRECORD_REVIEW_COUNT = 6
    if outcome == "reported":
        assert screening.outcome_of(verdict) == "clean"


def test_an_outage_is_asked_again_with_growing_gaps_and_then_cleared(
    ordered: Make, fraudrecord: Server
) -> None:
    order = ordered(name="Fraud Recovering", phone="+1 200 300")
    gaps = []
    for _ in range(2):
        order = check(order)
        assert (order.status, order.fraud_check.outcome) == ("review", "outage")
        gaps.append(order.fraud_check.next_ask_at - timezone.now())
    assert timedelta(seconds=8) < gaps[0] < timedelta(seconds=11) < gaps[1] < timedelta(seconds=21)
    assert order.pk not in screening.due_checks()
    order = check(order)
    assert (order.status, order.fraud_check.outcome) == ("unpaid", "clean")
    assert AuditEntry.objects.filter(action="order.check").count() == 2  # one for the outage, one for its end


def test_gaps_end_at_an_hour() -> None:
    assert screening.wait_after(1) == timedelta(seconds=10)
    assert screening.wait_after(200) == timedelta(hours=1)


def test_twice_asks_once(ordered: Make, fraudrecord: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(service, "query", lambda details: asked.append(1) or clean_verdict(details))
    order = ordered()
    assert screening.check_order(order.pk)
    assert not screening.check_order(order.pk)
    assert len(asked) == 1


def clean_verdict(details: dict[str, str]) -> service.Verdict:
    return service.Verdict(0, 0, Decimal("0.0"), "cf2b27b5556c2ddc")


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_many_workers_ask_once(
    ordered: Make, fraudrecord: Server, monkeypatch: pytest.MonkeyPatch, quiet_broker: None
) -> None:
    asked: list[int] = []

    def slow_query(details: dict[str, str]) -> service.Verdict:
        asked.append(1)
        return clean_verdict(details)

    monkeypatch.setattr(service, "query", slow_query)
    order = ordered()

    def work(_: int) -> None:
        try:
            tasks.check_order(str(order.pk))
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(12)))
    assert len(asked) == 1
    assert Notice.objects.filter(kind="order.approved").count() == 1


def test_a_dead_worker_is_followed_by_the_sweep(ordered: Make, fraudrecord: Server) -> None:
    order = ordered()
    FraudCheck.objects.update(next_ask_at=timezone.now() + screening.LEASE)  # claimed by one that died
    assert screening.due_checks() == []
    FraudCheck.objects.update(next_ask_at=timezone.now() - timedelta(seconds=1))
    assert screening.due_checks() == [order.pk]


def test_a_bug_in_the_check_does_not_lose_the_order(
    ordered: Make, fraudrecord: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service, "query", lambda details: 1 / 0)
    order = check(ordered())
    assert (order.status, order.fraud_check.outcome) == ("review", "outage")
    assert "ZeroDivisionError" in caplog.text


def test_a_verdict_is_not_overwritten_by_a_late_outage(ordered: Make, fraudrecord: Server) -> None:
    order = check(ordered(name="Fraud Reported"))
    screening._settle(order, screening.Answer(screening.Outcome.OUTAGE), [])
    assert fresh(order).fraud_check.outcome == "reported"


def test_nobody_asks_about_a_cancelled_order(ordered: Make, fraudrecord: Server, alice: User) -> None:
    order = ordered()
    order.cancel(by=alice)
    order = check(order)
    assert (order.fraud_check.outcome, order.fraud_check.next_ask_at) == ("", None)


def test_a_question_of_staff_outranks_a_late_clean_verdict(
    ordered: Make, fraudrecord: Server, sam: User
) -> None:
    order = check(ordered(name="Fraud Recovering", phone="+1 999 111"))
    order.ask_question("Who are you?", by=sam)
    assert check(check(order)).status == "question"


def test_hashes_and_details_are_neither_logged_nor_kept(
    ordered: Make, fraudrecord: Server, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    orders = [
        check(ordered(name=name))
        for name in ("Anna Example", "Fraud Outage", "Fraud Badkey", "Fraud Redirect")
    ]
    settings.FRAUDRECORD_URL = "http://127.0.0.1:1/api/"
    orders.append(check(ordered(name="Nobody There")))
    kept = serializers.serialize("json", FraudCheck.objects.all()) + str(
        list(AuditEntry.objects.values("after"))
    )
    for order in orders:
        for field, value in screening.details_of(order).items():
            if value:
                digest = service.fraud_hash(service.normalise(field, value))
                assert digest not in caplog.text + kept
    assert "Anna Example" not in caplog.text + kept
    assert settings.FRAUDRECORD_API_KEY not in caplog.text


def test_details_are_those_that_the_order_page_names(ordered: Make) -> None:
    order = ordered(company="Acme", region="Bavaria", domain="acme.test")
    assert screening.details_of(order) == {
        "name": "Anna Example",
        "company": "Acme",
        "email": "alice@example.test",
        "address": "1 Long Street Springfield Bavaria",
        "phone": "+49 30 1234567",
        "ip": "198.51.100.7",
        "domain": "acme.test",
    }


def test_the_sweep_hands_out_hints(ordered: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    hints = []
    monkeypatch.setattr(
        tasks.check_order, "apply_async", lambda args, **options: hints.append((args, options))
    )
    order = ordered()
    tasks.sweep_checks()
    assert hints == [((str(order.pk),), {"expires": 10})]


def test_the_same_details_are_asked_about_once_a_day(ordered: Make, asked: list[dict[str, str]]) -> None:
    first, second = check(ordered(name="Fraud Reported")), check(ordered(name=" FRAUD reported"))
    assert len(asked) == 1
    assert second.fraud_check.verdict == first.fraud_check.verdict
    assert (second.status, second.fraud_check.outcome) == ("review", "reported")
    assert second.fraud_check.verdict_at == first.fraud_check.verdict_at  # the day is not made longer
    check(ordered(name="Fraud Reported", phone="+1 5 5 5"))
    assert len(asked) == 2
    days_pass(first, 1.01)
    days_pass(second, 1.01)
    assert check(ordered(name="Fraud Reported")).fraud_check.outcome == "reported"
    assert len(asked) == 3


def test_an_outage_is_no_verdict_to_use_again(ordered: Make, asked: list[dict[str, str]]) -> None:
    first, second = (
        ordered(name="Fraud Recovering", phone="+1 777"),
        ordered(name="Fraud Recovering", phone="+1 777"),
    )
    assert [check(order).fraud_check.outcome for order in (first, second, first, second)] == [
        "outage", "outage", "clean", "clean",
    ]  # fmt: skip
    assert len(asked) == 3


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_tasks_with_the_same_details_ask_once(
    ordered: Make, fraudrecord: Server, monkeypatch: pytest.MonkeyPatch, quiet_broker: None
) -> None:
    asked: list[int] = []
    go_on = threading.Event()

    def slow_query(details: dict[str, str]) -> service.Verdict:
        asked.append(1)
        go_on.wait(20)
        return clean_verdict(details)

    monkeypatch.setattr(service, "query", slow_query)
    first, second = ordered(), ordered()

    def ask_first() -> bool:
        return screening.check_order(first.pk)

    def ask_second() -> bool:
        while not asked:
            time.sleep(0.01)
        try:
            return screening.check_order(second.pk)  # its turn comes later
        finally:
            go_on.set()

    assert at_once(ask_first, ask_second) == [True, False]
    assert fresh(second).fraud_check.next_ask_at > timezone.now()
    assert check(second).status == "unpaid"
    assert len(asked) == 1


def test_nothing_is_sent_about_countries_that_are_switched_off(
    ordered: Make, asked: list[dict[str, str]], settings: Any
) -> None:
    settings.FRAUDRECORD_OFF_COUNTRIES = ["DE"]
    order = check(ordered(country="DE"))
    assert (order.status, order.fraud_check.outcome) == ("review", "country")
    assert not asked
    assert check(ordered(country="FR")).status == "unpaid"
    assert len(asked) == 1


def test_keyed_hashes_go_after_a_day_and_codes_after_a_year(ordered: Make, fraudrecord: Server) -> None:
    young, day, year = (check(ordered(name="Fraud Reported", phone=f"+1 55{n}")) for n in range(3))
    days_pass(day, 1.01)
    days_pass(year, 365.01)
    tasks.sweep_fraud_records()
    kept = [fresh(order).fraud_check for order in (young, day, year)]
    assert [bool(check.digest) for check in kept] == [True, False, False]
    assert [bool(check.code) for check in kept] == [True, True, False]
    assert {(check.outcome, check.count, check.report_url != "") for check in kept} == {
        ("reported", 1, True), ("reported", 1, False),
    }  # fmt: skip


def test_a_refused_key_is_told_above_and_its_end_too(
    ordered: Make, fraudrecord: Server, settings: Any
) -> None:
    def pulse() -> Pulse:
        return Pulse.objects.get(name="fraudrecord")

    check(ordered(name="Fraud Badkey"))
    assert (pulse().is_failing, pulse().failure) == (True, "ERR:API")
    since = pulse().failed_at
    check(ordered(name="Fraud Unapproved"))
    check(ordered(name="Fraud Outage"))
    assert (pulse().is_failing, pulse().failed_at) == (True, since)
    check(ordered(name="Fraud Nodata"))  # says nothing of the key
    assert pulse().is_failing
    check(ordered())
    assert not pulse().is_failing
