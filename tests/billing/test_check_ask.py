"""Staff have FraudRecord asked again: after outages and refusals at once, about the same details once a day."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from billing.fraudrecord import fraud_hash
from billing.models import FraudCheck, Order
from deploy.fraudrecord import Report, Server
from tests.billing.conftest import check, days_pass, fresh

AsPerson = Callable[[User], Client]
Make = Callable[..., Order]


def ask(client: Client, order: Order) -> Any:
    return client.post(f"/admin/review/{order.number}/check/")


def page(client: Client, order: Order) -> str:
    return client.get(f"/admin/review/{order.number}/").content.decode()


def test_works_after_a_refusal(
    ordered: Make, fraudrecord: Server, sam: User, as_: AsPerson, settings: Any
) -> None:
    key, settings.FRAUDRECORD_API_KEY = settings.FRAUDRECORD_API_KEY, "wrong"
    order, client = check(ordered()), as_(sam)
    html = page(client, order)
    assert (order.status, order.fraud_check.outcome) == ("review", "refused")
    assert "ERR:API" in html
    assert f'action="/admin/review/{order.number}/check/"' in html
    settings.FRAUDRECORD_API_KEY = key
    answer = ask(client, order)
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/review/{order.number}/")
    order = check(order)
    assert (order.status, order.fraud_check.outcome, order.fraud_check.problem) == ("unpaid", "clean", "")
    assert AuditEntry.objects.get(action="order.check_again").by == sam
    assert AuditEntry.objects.filter(action="order.check", before={"outcome": "refused"}).count() == 1
    assert "ERR:API" not in page(client, order)


@pytest.mark.parametrize("who", ["alice", "mallory"])
def test_others_get_403(
    ordered: Make, fraudrecord: Server, as_: AsPerson, request: pytest.FixtureRequest, who: str
) -> None:
    order = check(ordered(name="Fraud Outage"))
    before = order.fraud_check.next_ask_at
    assert ask(as_(request.getfixturevalue(who)), order).status_code == 403
    assert fresh(order).fraud_check.next_ask_at == before


def test_twice_asks_once(ordered: Make, asked: list[dict[str, str]], sam: User, as_: AsPerson) -> None:
    order, client = check(ordered(name="Fraud Nodata")), as_(sam)
    FraudCheck.objects.update(problem="")
    for _ in range(2):
        assert ask(client, order).status_code == 302
    assert AuditEntry.objects.filter(action="order.check_again").count() == 1
    check(order)
    check(order)
    assert len(asked) == 2


def test_an_outage_is_not_waited_out(ordered: Make, fraudrecord: Server, sam: User, as_: AsPerson) -> None:
    order = check(ordered(name="Fraud Outage"))
    FraudCheck.objects.update(attempts=9)
    assert ask(as_(sam), order).status_code == 302
    again = fresh(order).fraud_check
    assert again.next_ask_at <= timezone.now()
    assert again.attempts == 0


def test_the_same_details_not_within_a_day(
    ordered: Make, asked: list[dict[str, str]], sam: User, as_: AsPerson
) -> None:
    order, client = check(ordered(name="Fraud Reported")), as_(sam)
    answer = ask(client, order)
    assert answer.status_code == 409
    assert "not asked about the same again before" in answer.content.decode()
    assert "Ask FraudRecord again" not in page(client, order)
    assert fresh(order).fraud_check.next_ask_at is None
    days_pass(order, 1.01)
    assert "Ask FraudRecord again" in page(client, order)
    assert ask(client, order).status_code == 302
    check(order)
    assert len(asked) == 2


def test_a_newer_verdict_takes_an_unpaid_order_back_to_staff(
    ordered: Make, fraudrecord: Server, sam: User, as_: AsPerson
) -> None:
    order = check(ordered(name="Anna Changed"))
    assert order.status == "unpaid"
    found = frozenset({("name", fraud_hash("annachanged"))})
    fraudrecord.ledger.reports["0" * 16] = Report("spam", "text", 3, found)
    days_pass(order, 2)
    ask(as_(sam), order)
    order = check(order)
    assert (order.status, order.fraud_check.outcome, order.fraud_check.value) == ("review", "reported", 3)


def test_an_outage_leaves_the_verdict_in_force(
    ordered: Make, fraudrecord: Server, sam: User, as_: AsPerson, settings: Any
) -> None:
    order, client = check(ordered(name="Fraud Held")), as_(sam)
    days_pass(order, 2)
    settings.FRAUDRECORD_URL = "http://127.0.0.1:1/api/"
    ask(client, order)
    order = check(order)
    assert (order.fraud_check.outcome, order.fraud_check.count) == ("held", 3)
    assert order.fraud_check.next_ask_at > timezone.now()
    assert "could not be asked" in page(client, order)


@pytest.mark.parametrize("end", ["approved", "rejected", "cancelled"])
def test_what_is_decided_is_not_asked_about(
    ordered: Make, fraudrecord: Server, alice: User, sam: User, as_: AsPerson, end: str
) -> None:
    order = check(ordered(name="Fraud Outage"))
    {
        "approved": lambda: order.approve("", by=sam),
        "rejected": lambda: order.reject("no", by=sam),
        "cancelled": lambda: order.cancel(by=alice),
    }[end]()
    assert ask(as_(sam), order).status_code == 409
    assert "Ask FraudRecord again" not in page(as_(sam), order)


@pytest.mark.parametrize("off", ["key", "country"])
def test_nothing_is_asked_where_it_is_off(
    ordered: Make, fraudrecord: Server, sam: User, as_: AsPerson, settings: Any, off: str
) -> None:
    order = check(ordered(name="Fraud Outage"))
    if off == "key":
        settings.FRAUDRECORD_API_KEY = ""
    else:
        settings.FRAUDRECORD_OFF_COUNTRIES = ["DE"]
    answer = ask(as_(sam), order)
    assert answer.status_code == 409
    assert "switched off" in answer.content.decode()


def test_get_is_405(ordered: Make, sam: User, as_: AsPerson) -> None:
    assert as_(sam).get(f"/admin/review/{ordered().number}/check/").status_code == 405
