"""Taking an order back, at any time before it is active."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import AuditEntry, Notice, Role, User
from billing.models import Order
from tests.billing.conftest import fresh, pay

AsPerson = Callable[[User], Client]


def test_works(in_review: Order, alice: User, as_: AsPerson) -> None:
    answer = as_(alice).post(f"/order/{in_review.number}/cancel/")
    assert (answer.status_code, answer["Location"]) == (302, in_review.get_absolute_url())
    assert fresh(in_review).status == "cancelled"
    assert AuditEntry.objects.get(action="order.cancel").before == {"status": "review"}


def test_works_while_checking_and_while_unpaid(
    ordered: Callable[..., Order], unpaid: Order, alice: User
) -> None:
    for order in (ordered(), unpaid):
        assert order.cancel(by=alice)
        assert fresh(order).status == "cancelled"


def test_a_stranger_gets_404(in_review: Order, mallory: User, as_: AsPerson) -> None:
    assert as_(mallory).post(f"/order/{in_review.number}/cancel/").status_code == 404
    assert fresh(in_review).status == "review"


def test_a_reader_gets_403(in_review: Order, bob: User, as_: AsPerson) -> None:
    in_review.customer.add_member(bob, Role.READER, by=None)
    assert as_(bob).post(f"/order/{in_review.number}/cancel/").status_code == 403
    assert fresh(in_review).status == "review"


def test_twice_is_harmless(in_review: Order, alice: User, as_: AsPerson) -> None:
    client = as_(alice)
    for _ in range(2):
        assert client.post(f"/order/{in_review.number}/cancel/").status_code == 302
    assert AuditEntry.objects.filter(action="order.cancel").count() == 1
    assert Notice.objects.filter(kind="order.cancelled").count() == 1


@pytest.mark.parametrize("end", ["active", "rejected"])
def test_too_late(in_review: Order, alice: User, sam: User, as_: AsPerson, end: str) -> None:
    if end == "active":
        in_review.approve("", by=sam)
        pay(fresh(in_review), "59.00", by=sam)
    else:
        in_review.reject("", by=sam)
    answer = as_(alice).post(f"/order/{in_review.number}/cancel/")
    assert answer.status_code == 409
    assert f"is {end}" in answer.content.decode()
    assert fresh(in_review).status == end


def test_what_came_in_is_to_be_sent_back(unpaid: Order, alice: User, sam: User, as_: AsPerson) -> None:
    pay(unpaid, "20.00", by=sam)
    fresh(unpaid).cancel(by=alice)
    html = as_(sam).get(f"/admin/review/{unpaid.number}/").content.decode()
    assert "20.00 USD of 59.00 USD" in html
    assert "Send it back" in html


def test_get_is_405(in_review: Order, alice: User, as_: AsPerson) -> None:
    assert as_(alice).get(f"/order/{in_review.number}/cancel/").status_code == 405
