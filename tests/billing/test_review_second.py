"""Above a value or a risk two people decide the same; one alone gets 409."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Notice, User
from billing.models import Order, OrderSignal
from billing.review_queue import Filters, next_order
from tests.billing.conftest import check, fresh
from tests.billing.test_review_decide import decide

AsPerson = Callable[[User], Client]


@pytest.fixture
def two(in_review: Order, settings: Any) -> Order:
    """An order that two people have to decide about."""
    settings.REVIEW_SECOND_AMOUNT = 59.0
    return in_review


@pytest.fixture
def second(staff_of: Callable[[str], User]) -> User:
    return staff_of("reviewer")


@pytest.fixture
def another(ordered: Callable[..., Order]) -> Order:
    """Another order, from whose page one goes on."""
    return check(ordered())


@pytest.mark.parametrize(("decision", "status"), [("approve", "unpaid"), ("reject", "rejected")])
def test_the_second_makes_it_so(
    two: Order, sam: User, second: User, as_: AsPerson, decision: str, status: str
) -> None:
    assert decide(as_(sam), two, decision, "first").status_code == 302
    assert fresh(two).status == "review"
    assert not Notice.objects.filter(kind__in=["order.approved", "order.rejected"]).exists()
    html = as_(second).get(f"/admin/review/{two.number}/").content.decode()
    assert f'data-first="{decision}"' in html
    assert "Sam Staff" in html
    assert decide(as_(second), two, decision, "second").status_code == 302
    assert fresh(two).status == status
    assert fresh(two).decision.by == second
    assert "First decision" in as_(sam).get(f"/admin/review/{two.number}/").content.decode()


def test_the_same_person_gets_409(two: Order, sam: User, as_: AsPerson) -> None:
    client = as_(sam)
    decide(client, two, "approve")
    for decision in ("approve", "reject"):
        answer = decide(client, two, decision)
        assert answer.status_code == 409
        assert "You decided first" in answer.content.decode()
    assert fresh(two).status == "review"
    assert two.notes.count() == 1


def test_who_decides_otherwise_is_the_first_then(two: Order, sam: User, second: User, as_: AsPerson) -> None:
    decide(as_(sam), two, "approve")
    decide(as_(second), two, "reject", "no such street")
    assert fresh(two).status == "review"
    assert decide(as_(second), two, "reject").status_code == 409
    decide(as_(sam), two, "reject", "right")
    assert fresh(two).status == "rejected"


def test_a_question_needs_one_person_and_begins_anew(
    two: Order, alice: User, sam: User, second: User, as_: AsPerson
) -> None:
    decide(as_(sam), two, "approve")
    decide(as_(second), two, "ask", "Who?")
    fresh(two).answer_question("Me.", by=alice)
    decide(as_(second), two, "approve", seen=2)
    assert fresh(two).status == "review"
    decide(as_(sam), two, "approve", seen=2)
    assert fresh(two).status == "unpaid"


def test_below_the_threshold_one_is_enough(two: Order, sam: User, as_: AsPerson, settings: Any) -> None:
    settings.REVIEW_SECOND_AMOUNT = 59.01
    decide(as_(sam), two, "approve")
    assert fresh(two).status == "unpaid"


@pytest.mark.parametrize(
    ("threshold", "signals", "waits"),
    [
        ("", ["phone", "network"], False),
        ("elevated", [], False),
        ("elevated", ["phone"], True),
        ("high", ["phone"], False),
        ("high", ["phone", "network"], True),
    ],
)
def test_by_risk(
    in_review: Order, sam: User, as_: AsPerson, settings: Any, threshold: str, signals: list[str], waits: bool
) -> None:
    settings.REVIEW_SECOND_RISK = threshold
    for kind in signals:
        OrderSignal.objects.create(order=in_review, kind=kind, text="noticed")
    decide(as_(sam), in_review, "approve")
    assert (fresh(in_review).status == "review") is waits


def test_the_next_is_none_that_waits_for_somebody_else(two: Order, sam: User, as_: AsPerson) -> None:
    answer = decide(as_(sam), two, "approve", then="next")
    assert answer["Location"] == "/admin/review/"
    assert "Second person" in as_(sam).get("/admin/review/").content.decode()


def test_the_next_is_offered_to_a_second_person_although_both_wrote_about_it(
    two: Order, another: Order, alice: User, sam: User, second: User
) -> None:
    def offered(person: User) -> Order | None:
        return next_order(Filters(), another, person)

    two.approve("", by=sam)
    two.add_note("I look at it tomorrow", by=second)
    assert (offered(sam), offered(second)) == (None, two)
    fresh(two).reject("no such street", by=second)  # otherwise: now the first person is the second
    assert (offered(sam), offered(second)) == (two, None)
    fresh(two).ask_question("Who?", by=sam, seen=0)
    fresh(two).answer_question("Me.", by=alice)  # and with that both have lapsed
    assert (offered(sam), offered(second)) == (two, two)
