"""Staff decide about an order: approve, reject, ask; whoever is second gets 409."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import AuditEntry, Notice, User
from billing import screening
from billing.models import Order
from deploy.fraudrecord import Server
from tests.billing.conftest import check, fresh, pay

AsPerson = Callable[[User], Client]


def decide(client: Client, order: Order, decision: str, text: str = "", **extra: Any) -> Any:
    return client.post(f"/admin/review/{order.number}/", {"decision": decision, "text": text} | extra)


@pytest.mark.parametrize(
    ("decision", "text", "status", "notice"),
    [
        ("approve", "", "unpaid", "order.approved"),
        ("approve", "looks fine", "unpaid", "order.approved"),
        ("reject", "", "rejected", "order.rejected"),
        ("reject", "No such street.", "rejected", "order.rejected"),
        ("ask", "Whose domain is it?", "question", "order.question"),
    ],
)
def test_works(
    in_review: Order, sam: User, as_: AsPerson, decision: str, text: str, status: str, notice: str
) -> None:
    answer = decide(as_(sam), in_review, decision, text)
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/review/{in_review.number}/")
    assert fresh(in_review).status == status
    assert Notice.objects.filter(kind=notice).count() == 1
    entry = AuditEntry.objects.get(action=f"order.{decision}")
    assert (entry.by, entry.address, entry.customer, entry.after) == (
        sam,
        "127.0.0.1",
        in_review.customer,
        None,  # the text stands in the decision or the message alone, where it can be erased
    )


@pytest.mark.parametrize("who", ["alice", "mallory"])
def test_others_get_403(in_review: Order, as_: AsPerson, request: pytest.FixtureRequest, who: str) -> None:
    client = as_(request.getfixturevalue(who))
    assert client.get(f"/admin/review/{in_review.number}/").status_code == 403
    assert decide(client, in_review, "approve").status_code == 403
    assert client.get("/admin/review/").status_code == 403
    assert fresh(in_review).status == "review"


def test_anonymous_is_sent_to_the_sign_in(in_review: Order, client: Client) -> None:
    for path in ("/admin/review/", f"/admin/review/{in_review.number}/"):
        assert client.get(path)["Location"].startswith("/accounts/login/")


def test_unknown_is_404(as_: AsPerson, sam: User) -> None:
    assert as_(sam).get("/admin/review/ZZZZ-ZZZZ-ZZ/").status_code == 404


@pytest.mark.parametrize("first", ["approve", "reject", "ask"])
@pytest.mark.parametrize("second", ["approve", "reject", "ask"])
def test_second_gets_409_and_nothing_changes(
    in_review: Order, sam: User, as_: AsPerson, first: str, second: str
) -> None:
    client = as_(sam)
    assert decide(client, in_review, first, "one").status_code == 302
    before = (fresh(in_review).status, AuditEntry.objects.count(), Notice.objects.count())
    answer = decide(client, in_review, second, "two")
    assert answer.status_code == 409
    assert 'role="alert"' in answer.content.decode()
    assert (fresh(in_review).status, AuditEntry.objects.count(), Notice.objects.count()) == before


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_at_the_same_moment(in_review: Order, sam: User, as_: AsPerson, quiet_broker: None) -> None:
    clients = [(as_(sam), decision) for decision in ("approve", "reject", "ask", "approve", "reject", "ask")]

    def act(pair: tuple[Client, str]) -> int:
        try:
            return decide(pair[0], in_review, pair[1], "text", seen=0).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(act, clients))
    assert statuses == [302, 409, 409, 409, 409, 409]
    order = fresh(in_review)
    assert hasattr(order, "decision") + order.messages.count() == 1
    decided = AuditEntry.objects.filter(action__in=["order.approve", "order.reject", "order.ask"])
    assert decided.count() == 1


def test_the_page_lets_staff_go_on_after_an_unanswered_question(
    in_review: Order, sam: User, as_: AsPerson
) -> None:
    client = as_(sam)
    decide(client, in_review, "ask", "Who?")
    assert b'name="seen" value="1"' in client.get(f"/admin/review/{in_review.number}/").content
    assert decide(client, in_review, "approve", "told by phone", seen=1).status_code == 302
    assert fresh(in_review).status == "unpaid"


def test_nobody_decides_on_what_they_have_not_read(
    in_review: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    in_review.ask_question("Who?", by=sam)
    fresh(in_review).answer_question("Me.", by=alice)
    answer = decide(as_(sam), in_review, "reject", "silent", seen=1)
    assert answer.status_code == 409
    assert fresh(in_review).status == "review"
    html = answer.content.decode()
    assert 'name="seen" value="2"' in html
    assert "silent" in html  # what was entered is kept
    assert decide(as_(sam), in_review, "approve").status_code == 302


def test_held_is_approved_only_with_a_text(
    ordered: Callable[..., Order], sam: User, as_: AsPerson, fraudrecord: Server
) -> None:
    order = ordered(name="Fraud Held")
    screening.check_order(order.pk)
    client = as_(sam)
    answer = decide(client, order, "approve")
    html = answer.content.decode()
    assert answer.status_code == 422
    assert 'id="id_text_error"' in html
    assert "held" in html
    assert fresh(order).status == "review"
    assert decide(client, order, "approve", "Known to us since 2012.").status_code == 302
    assert fresh(order).status == "unpaid"


def test_the_verdict_is_shown_with_the_link_that_is_owed(
    ordered: Callable[..., Order], sam: User, as_: AsPerson, fraudrecord: Server
) -> None:
    order = ordered(name="Fraud Held")
    screening.check_order(order.pk)
    html = as_(sam).get(f"/admin/review/{order.number}/").content.decode()
    code = fresh(order).fraud_check.code
    assert f'href="https://www.fraudrecord.com/api/?showreport={code}"' in html
    assert 'data-outcome="held"' in html
    assert html.count("data-status=") == 1
    assert "198.51.100.7" in html


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"decision": "delete"}, "decision"),
        ({}, "decision"),
        ({"decision": "ask"}, "text"),
        ({"decision": "ask", "text": "  "}, "text"),
        ({"decision": "approve", "text": "x" * 65536}, "text"),
        ({"decision": "approve", "text": "nul\0"}, "text"),
        ({"decision": "approve", "seen": "99999999999999999999"}, "seen"),
    ],
)
def test_what_is_wrong_is_said(
    in_review: Order, sam: User, as_: AsPerson, sent: dict[str, str], field: str
) -> None:
    answer = as_(sam).post(f"/admin/review/{in_review.number}/", sent)
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in answer.content.decode() or field == "seen"
    assert fresh(in_review).status == "review"


@pytest.mark.parametrize("status", ["checking", "cancelled"])
def test_nothing_to_decide(
    ordered: Callable[..., Order], alice: User, sam: User, as_: AsPerson, status: str
) -> None:
    order = ordered()
    if status == "cancelled":
        order.cancel(by=alice)
    assert decide(as_(sam), order, "approve").status_code == 409
    assert fresh(order).status == status


def test_queue(
    ordered: Callable[..., Order],
    in_review: Order,
    sam: User,
    as_: AsPerson,
    django_assert_max_num_queries: Any,
) -> None:
    later = [ordered() for _ in range(5)]
    done = ordered()
    done.cancel(by=done.placed_by)
    client = as_(sam)
    with django_assert_max_num_queries(12):
        html = client.get("/admin/review/").content.decode()
    assert in_review.number in html
    assert html.index(in_review.number) < html.index(later[0].number)
    assert done.number not in html
    assert "data-status" not in html
    assert done.number in client.get("/admin/review/?status=cancelled").content.decode()
    first = client.get("/admin/review/?limit=2").content.decode()
    assert in_review.number in first
    assert later[-1].number not in first
    assert "limit=2&amp;page=2" in first
    for odd in (
        "?status=x",
        "?page=-1",
        "?page=x",
        "?limit=x",
        "?limit=0",
        "?limit=999999999999999",
        "?status=%27",
    ):
        assert client.get(f"/admin/review/{odd}").status_code == 200


def test_queue_says_when_it_is_empty(sam: User, as_: AsPerson) -> None:
    assert "No order is in this queue" in as_(sam).get("/admin/review/").content.decode()


def test_few_queries(
    in_review: Order,
    ordered: Callable[..., Order],
    alice: User,
    sam: User,
    as_: AsPerson,
    django_assert_max_num_queries: Any,
) -> None:
    """However much was said and paid, and by whom."""
    ordered()
    in_review.ask_question("Who?", by=sam)
    fresh(in_review).answer_question("Me.", by=alice)
    fresh(in_review).approve("fine", by=sam)
    pay(fresh(in_review), "1.00", by=sam)
    client = as_(sam)
    client.get(f"/admin/review/{in_review.number}/")
    with django_assert_max_num_queries(12):
        html = client.get(f"/admin/review/{in_review.number}/").content.decode()
    assert "Answer by alice@example.test" in html
    assert "Recorded by sam@example.test" in html


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_nobody_decides_about_an_order_of_their_own(
    ordered: Callable[..., Order], sam: User, as_: AsPerson, settings: Any, decision: str
) -> None:
    settings.FRAUDRECORD_API_KEY = ""
    order = check(ordered(by=sam))
    answer = decide(as_(sam), order, decision, "mine")
    assert answer.status_code == 409
    assert "You placed this order yourself" in answer.content.decode()
    assert fresh(order).status == "review"
    assert not AuditEntry.objects.filter(action=f"order.{decision}").exists()


def test_who_placed_it_sees_no_buttons_but_who_decides(
    ordered: Callable[..., Order], sam: User, staff_of: Callable[[str], User], as_: AsPerson, settings: Any
) -> None:
    settings.FRAUDRECORD_API_KEY = ""
    order = check(ordered(by=sam))
    manager = staff_of("manager")
    buttons = ("Decide and next", "Record payment")
    for status, button in zip(("review", "unpaid"), buttons, strict=True):
        own, of_another = (
            as_(person).get(f"/admin/review/{order.number}/").content.decode() for person in (sam, manager)
        )
        assert fresh(order).status == status
        assert "a colleague decides about it" in own
        assert not [each for each in buttons if each in own]
        assert button in of_another
        assert "a colleague decides" not in of_another
        if status == "review":
            fresh(order).approve("fine", by=manager)
