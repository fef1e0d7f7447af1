"""Staff vouch for a customer, with a reason: FraudRecord is not asked about it, and the order goes its way."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry, User
from billing.models import FraudExemption, Order, OrderSignal
from deploy.fraudrecord import Server
from tests.billing.conftest import check, fresh

AsPerson = Callable[[User], Client]
Make = Callable[..., Order]


def exempt(client: Client, order: Order, reason: str = "Known for years") -> Any:
    return client.post(f"/admin/review/{order.number}/exempt/", {"reason": reason})


def test_works(ordered: Make, asked: list[dict[str, str]], sam: User, as_: AsPerson) -> None:
    order, client = check(ordered(name="Fraud Held")), as_(sam)
    answer = exempt(client, order)
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/review/{order.number}/")
    entry = AuditEntry.objects.get(action="fraud_exemption.add")
    assert (entry.by, entry.customer, entry.after) == (sam, order.customer, {"reason": "Known for years"})
    order = check(order)
    assert (order.status, order.fraud_check.outcome) == ("unpaid", "exempt")
    assert Order.objects.with_status().get(pk=order.pk).status_now == "unpaid"
    assert order.fraud_check.count == 3  # what was said stays with the order
    html = client.get(f"/admin/review/{order.number}/").content.decode()
    assert "exempt: Known for years" in html
    assert 'data-outcome="exempt"' in html
    assert len(asked) == 1


@pytest.mark.parametrize("who", ["alice", "mallory"])
def test_others_get_403(
    ordered: Make, fraudrecord: Server, as_: AsPerson, request: pytest.FixtureRequest, who: str
) -> None:
    order, client = check(ordered(name="Fraud Held")), as_(request.getfixturevalue(who))
    assert exempt(client, order).status_code == 403
    assert client.post(f"/admin/review/{order.number}/exempt/end/").status_code == 403
    assert not FraudExemption.objects.exists()


def test_twice_is_one_exemption_with_the_first_reason(
    ordered: Make, fraudrecord: Server, sam: User, as_: AsPerson
) -> None:
    order, client = ordered(), as_(sam)
    assert exempt(client, order).status_code == 302
    assert exempt(client, order, "Another").status_code == 302
    assert FraudExemption.objects.get().reason == "Known for years"
    assert AuditEntry.objects.filter(action="fraud_exemption.add").count() == 1


def test_another_order_of_an_owner_goes_its_way_and_that_of_a_stranger_does_not(
    ordered: Make, asked: list[dict[str, str]], sam: User, mallory: User, as_: AsPerson
) -> None:
    exempt(as_(sam), ordered())
    later = check(ordered(name="Fraud Held"))
    assert (later.status, later.fraud_check.outcome, asked) == ("unpaid", "exempt", [])
    assert "is exempt: Known" in as_(sam).get(f"/admin/review/{later.number}/").content.decode()
    assert check(ordered(by=mallory, name="Fraud Held")).status == "review"


def test_a_signal_of_our_own_still_sends_it_to_staff(
    ordered: Make, fraudrecord: Server, sam: User, as_: AsPerson
) -> None:
    order = check(ordered(name="Fraud Reported"))
    OrderSignal.objects.create(order=order, kind="disposable", text="At a host of disposable mail.")
    exempt(as_(sam), order)
    order = check(order)
    assert (order.status, order.fraud_check.outcome) == ("review", "exempt")


@pytest.mark.parametrize("reason", ["", " ", "x" * 301, "two\nlines", "nul\0"])
def test_a_reason_is_needed(
    ordered: Make, fraudrecord: Server, sam: User, as_: AsPerson, reason: str
) -> None:
    answer = exempt(as_(sam), ordered(), reason)
    assert answer.status_code == 422
    assert 'id="id_reason_error"' in answer.content.decode()
    assert not FraudExemption.objects.exists()


def test_ending_it_has_the_next_order_asked_about(
    ordered: Make, asked: list[dict[str, str]], sam: User, as_: AsPerson
) -> None:
    order, client = check(ordered(name="Fraud Held")), as_(sam)
    exempt(client, order)
    order = check(order)
    for _ in range(2):
        assert client.post(f"/admin/review/{order.number}/exempt/end/").status_code == 302
    assert AuditEntry.objects.get(action="fraud_exemption.end").before == {"reason": "Known for years"}
    assert fresh(order).status == "unpaid"  # what it let through stays
    assert check(ordered(name="Fraud Held", phone="+1 606")).status == "review"
    client.post(f"/admin/review/{order.number}/check/")
    assert check(order).fraud_check.outcome == "held"  # by the verdict that is still in force
    assert len(asked) == 2


def test_it_goes_its_way_where_fraudrecord_is_off(in_review: Order, sam: User, as_: AsPerson) -> None:
    exempt(as_(sam), in_review)
    assert check(in_review).status == "unpaid"


def test_a_conversation_outranks_it(ordered: Make, fraudrecord: Server, sam: User, as_: AsPerson) -> None:
    order = check(ordered(name="Fraud Reported"))
    order.ask_question("Who are you?", by=sam)
    exempt(as_(sam), order)
    assert check(order).status == "question"


def test_get_is_405(ordered: Make, sam: User, as_: AsPerson) -> None:
    order, client = ordered(), as_(sam)
    for path in ("exempt/", "exempt/end/"):
        assert client.get(f"/admin/review/{order.number}/{path}").status_code == 405


def test_what_two_have_to_decide_about_still_waits_for_them(
    ordered: Make, asked: list[dict[str, str]], sam: User, as_: AsPerson, settings: Any
) -> None:
    settings.REVIEW_SECOND_AMOUNT = 59.0
    order = ordered()
    exempt(as_(sam), order)
    order = check(order)
    assert (order.status, order.fraud_check.outcome, asked) == ("review", "vouched", [])
    assert Order.objects.with_status().get(pk=order.pk).status_now == "review"
    assert not order.approve("", by=sam)
    assert fresh(order).status == "review"


def test_a_held_order_stays_held_where_two_have_to_decide(
    ordered: Make, fraudrecord: Server, sam: User, as_: AsPerson, settings: Any
) -> None:
    settings.REVIEW_SECOND_RISK = "high"
    order = check(ordered(name="Fraud Held"))
    exempt(as_(sam), order)
    order = check(order)
    assert (order.status, order.fraud_check.outcome) == ("review", "held")
    assert order.needs_second
    assert not order.approve("Known to me", by=sam)


def test_nobody_vouches_for_themselves(ordered: Make, fraudrecord: Server, sam: User, as_: AsPerson) -> None:
    order = ordered(by=sam)
    answer = exempt(as_(sam), order)
    assert answer.status_code == 409
    assert "Somebody else has to vouch" in answer.content.decode()
    assert not FraudExemption.objects.exists()
