"""What the page of an open order says: what is going on, who acts, since when, and what the customer can do."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from billing import screening
from billing.models import FraudCheck, Order
from billing.standing import standing
from tests.billing.conftest import fresh, pay

AsPerson = Callable[[User], Client]
Make = Callable[..., Order]


def shown(client: Client, order: Order) -> str:
    html = client.get(order.get_absolute_url()).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", html).replace("&#x27;", "'").split())


def assert_told(client: Client, order: Order, since: datetime, *texts: str) -> None:
    told = standing(order)
    assert told is not None
    assert told.since == since
    text = shown(client, order)
    for part in (told.what, told.who, told.can, f"{since:%H:%M} UTC", *texts):
        assert part in text
    assert "cancel" in told.can


def test_checking(ordered: Make, alice: User, as_: AsPerson) -> None:
    order = fresh(ordered())
    assert_told(as_(alice), order, order.placed_at, "A program.", "never refuses")


def test_review(in_review: Order, alice: User, as_: AsPerson) -> None:
    assert_told(as_(alice), in_review, in_review.fraud_check.answered_at, "A reviewer of our staff")


def test_review_after_an_outage(in_review: Order, alice: User, as_: AsPerson) -> None:
    FraudCheck.objects.update(outcome="outage")
    order = fresh(in_review)
    assert_told(as_(alice), order, order.fraud_check.answered_at, "could not be made")


@pytest.mark.parametrize("outcome", ["reported", "held", "refused", "off"])
def test_a_review_does_not_tell_what_was_found(
    in_review: Order, alice: User, as_: AsPerson, outcome: str
) -> None:
    found = {"value": 777, "count": 777, "reliability": 7} if outcome in ("reported", "held") else {}
    FraudCheck.objects.update(outcome=outcome, **found)
    assert standing(fresh(in_review)) == standing(in_review)
    assert not re.search(r"reported|held|refused|777", shown(as_(alice), in_review).split("What happens")[0])


def test_question_and_answer(in_review: Order, alice: User, sam: User, as_: AsPerson) -> None:
    in_review.ask_question("Whose domain is it?", by=sam)
    order = fresh(in_review)
    asked = order.last_message
    assert_told(as_(alice), order, asked.at, "You, or whoever else may order", "Question of our staff")
    order.answer_question("Mine.", by=alice)
    order = fresh(order)
    assert_told(as_(alice), order, order.last_message.at, "at your answer", "Answer from you")


def test_unpaid_by_approval_and_by_a_clean_check(
    unpaid: Order, ordered: Make, alice: User, as_: AsPerson, fraudrecord: Any
) -> None:
    assert_told(as_(alice), unpaid, unpaid.decision.at, "our bookkeeping", "Approved by our staff")
    clean = ordered()
    screening.check_order(clean.pk)
    clean = fresh(clean)
    assert clean.status == "unpaid"
    assert_told(as_(alice), clean, clean.fraud_check.answered_at)


def test_ended_orders_wait_for_nothing(
    unpaid: Order, in_review: Order, ordered: Make, alice: User, sam: User, as_: AsPerson
) -> None:
    gone = ordered()
    gone.cancel(by=alice)
    pay(unpaid, "59.00", by=sam)
    for order in (fresh(gone), fresh(unpaid)):
        assert standing(order) is None
        assert "Where it stands" not in shown(as_(alice), order)


def test_no_name_of_staff_is_shown(unpaid: Order, alice: User, sam: User, as_: AsPerson) -> None:
    pay(unpaid, "20.00", by=sam)
    text = shown(as_(alice), fresh(unpaid))
    assert "Recorded by our bookkeeping." in text
    assert "Sam" not in text
    assert "sam@" not in text
