"""The queue of the review desk: age and risk, filters, pages, the next one, figures; and that it costs the same for many."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing import screening
from billing.models import Order, OrderSignal, Risk
from tests.billing.conftest import fresh, pay

AsPerson = Callable[[User], Client]
REVIEW = "/admin/review/"


@pytest.fixture
def reviewed(ordered: Callable[..., Order], settings: Any) -> Callable[..., Order]:
    """Make an order in review that was placed so many hours ago, with these signals."""
    settings.FRAUDRECORD_API_KEY = ""

    def make(hours: float = 0, *signals: str, outcome: str = "off", **fields: Any) -> Order:
        order = ordered(**fields)
        screening.check_order(order.pk)
        Order.objects.filter(pk=order.pk).update(placed_at=timezone.now() - timedelta(hours=hours))
        for kind in signals:
            OrderSignal.objects.get_or_create(order=order, kind=kind, defaults={"text": "noticed"})
        if outcome != "off":
            check = order.fraud_check
            check.outcome, check.value, check.count, check.reliability = outcome, 1, 1, 1
            check.save()
        return fresh(order)

    return make


@pytest.mark.odd_rows
@pytest.mark.parametrize(
    ("outcome", "signals", "risk"),
    [
        ("clean", ["disposable"], Risk.ELEVATED),
        ("clean", ["speed"], Risk.LOW),
        ("off", [], Risk.UNKNOWN),
        ("off", ["speed", "country"], Risk.UNKNOWN),
        ("off", ["network"], Risk.ELEVATED),
        ("reported", [], Risk.ELEVATED),
        ("reported", ["phone"], Risk.HIGH),
        ("off", ["phone", "address"], Risk.HIGH),
        ("held", [], Risk.HIGH),
    ],
)
def test_risk_is_the_same_in_python_and_sql(
    reviewed: Callable[..., Order], outcome: str, signals: list[str], risk: Risk
) -> None:
    order = reviewed(0, *signals, outcome=outcome)
    assert order.risk == risk
    assert Order.objects.all().with_risk().get(pk=order.pk).risk_now == risk


def test_oldest_or_riskiest_first(reviewed: Callable[..., Order], sam: User, as_: AsPerson) -> None:
    old, risky, new = reviewed(48), reviewed(5, "phone", "address"), reviewed(1)
    client = as_(sam)

    def order_of(path: str) -> list[str]:
        html = client.get(path).content.decode()
        return sorted((o.number for o in (old, risky, new) if o.number in html), key=html.index)

    assert order_of(REVIEW) == [old.number, risky.number, new.number]
    assert order_of(f"{REVIEW}?sort=risk") == [risky.number, old.number, new.number]
    assert order_of(f"{REVIEW}?risk=3") == [risky.number]
    assert order_of(f"{REVIEW}?q={new.number.lower()}") == [new.number]
    assert order_of(f"{REVIEW}?q={old.customer.username}") == [old.number]
    assert order_of(f"{REVIEW}?q=nothing-such") == []
    assert order_of(f"{REVIEW}?risk=9&sort=x&q=%20") == [old.number, risky.number, new.number]
    html = client.get(REVIEW).content.decode()
    assert "2\xa0days" in html
    assert "High" in html


def test_filters_stay_on_the_way_through_the_orders(
    reviewed: Callable[..., Order], sam: User, as_: AsPerson
) -> None:
    first, second, low = reviewed(3, "network"), reviewed(2, "phone"), reviewed(4)
    client = as_(sam)
    html = client.get(f"{REVIEW}?risk=2").content.decode()
    assert f'href="{REVIEW}{first.number}/?risk=2"' in html
    answer = client.post(
        f"{REVIEW}{first.number}/?risk=2", {"decision": "approve", "text": "", "then": "next"}
    )
    assert answer["Location"] == f"{REVIEW}{second.number}/?risk=2"
    answer = client.post(f"{REVIEW}{second.number}/?risk=2", {"decision": "approve", "then": "next"})
    assert answer["Location"] == f"{REVIEW}?risk=2"
    assert "Nothing else waits for you here" in client.get(answer["Location"]).content.decode()
    assert fresh(low).status == "review"


def test_next_goes_on_from_where_one_is_and_begins_again(
    reviewed: Callable[..., Order], sam: User, as_: AsPerson
) -> None:
    one, two, three = (reviewed(hours) for hours in (3, 2, 1))
    two.ask_question("Who?", by=sam)  # it waits for the customer, nobody need look at it
    client = as_(sam)
    ways = {order: client.get(f"{REVIEW}{order.number}/next/")["Location"] for order in (one, two, three)}
    assert ways == {
        one: f"{REVIEW}{three.number}/",
        two: f"{REVIEW}{three.number}/",
        three: f"{REVIEW}{one.number}/",
    }


def test_next_by_risk(reviewed: Callable[..., Order], sam: User, as_: AsPerson) -> None:
    low, high, middle = reviewed(9), reviewed(1, "phone", "address"), reviewed(2, "network")
    client = as_(sam)
    way = [client.get(f"{REVIEW}{order.number}/next/?sort=risk")["Location"] for order in (high, middle, low)]
    assert way == [f"{REVIEW}{order.number}/?sort=risk" for order in (middle, low, high)]


def test_next_leaves_out_where_somebody_else_is(
    reviewed: Callable[..., Order], sam: User, staff_of: Callable[[str], User], as_: AsPerson
) -> None:
    one, two, three = (reviewed(hours) for hours in (3, 2, 1))
    as_(staff_of("reviewer")).get(f"{REVIEW}{two.number}/")
    client = as_(sam)
    assert client.get(f"{REVIEW}{one.number}/next/")["Location"] == f"{REVIEW}{three.number}/"
    assert "Some Reviewer at it" in client.get(REVIEW).content.decode()


def test_figures(
    reviewed: Callable[..., Order],
    ordered: Callable[..., Order],
    sam: User,
    staff_of: Callable[[str], User],
    as_: AsPerson,
) -> None:
    client = as_(sam)
    assert "none waits" in client.get(REVIEW).content.decode()
    reviewer = staff_of("reviewer")
    reviewed(72), reviewed(1)
    reviewed().ask_question("Who?", by=sam)
    reviewed().approve("", by=sam)
    reviewed().approve("", by=reviewer)
    reviewed().reject("no", by=reviewer)
    html = client.get(REVIEW).content.decode()
    assert 'data-waiting="2"' in html
    assert "3\xa0days" in html
    assert 'data-decided="3"' in html
    assert "Some Reviewer: 1 approved, 1 rejected" in html
    assert "Sam Staff: 1 approved, 0 rejected" in html


def test_a_refund_owed_shows_until_it_is_recorded(
    unpaid: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    pay(unpaid, "20.00", by=sam)
    fresh(unpaid).cancel(by=alice)
    html = as_(sam).get(REVIEW).content.decode()
    assert 'data-refunds="1"' in html
    assert unpaid.number in as_(sam).get(f"{REVIEW}?status=refund").content.decode()
    fresh(unpaid).record_refund("R 9", by=sam)
    assert 'data-refunds="0"' in as_(sam).get(REVIEW).content.decode()
    assert unpaid.number not in as_(sam).get(f"{REVIEW}?status=refund").content.decode()


def test_pages_cost_the_same_for_any_number(
    reviewed: Callable[..., Order], sam: User, as_: AsPerson, django_assert_max_num_queries: Any
) -> None:
    for hours in range(6):
        reviewed(hours, "phone").ask_question("Who?", by=sam)
    client = as_(sam)
    with django_assert_max_num_queries(12):
        client.get(REVIEW)
    html = client.get(f"{REVIEW}?limit=4&risk=2").content.decode()
    assert "limit=4&amp;risk=2&amp;page=2" in html
    html = client.get(f"{REVIEW}?limit=4&risk=2&page=2").content.decode()
    assert 'rel="prev"' in html
    assert 'rel="next"' not in html


def test_hostile_filters(reviewed: Callable[..., Order], sam: User, as_: AsPerson) -> None:
    order = reviewed()
    client = as_(sam)
    for query in (
        "q=" + "x" * 5000,
        "q=%27%22<script>",
        "risk=-1",
        "sort=risk&status=checking",
        "status=active&sort=risk",
    ):
        for path in (REVIEW, f"{REVIEW}{order.number}/", f"{REVIEW}{order.number}/next/"):
            answer = client.get(f"{path}?{query}")
            assert answer.status_code in (200, 302), (path, query)
            assert "<script>" not in answer.content.decode().replace("<script src=", "")
