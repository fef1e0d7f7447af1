"""What a customer has, pays and owes, on one page."""

from collections.abc import Callable
from typing import Any

from django.test import Client

from accounts.models import Customer, Role, User
from billing.models import Order, Plan, Subscription
from tests.billing.conftest import fresh, pay

AsPerson = Callable[[User], Client]


def page(client: Client, order: Order) -> str:
    return client.get(f"/c/{order.customer.username}/billing/").content.decode()


def test_works(
    unpaid: Order, alice: User, sam: User, as_: AsPerson, django_assert_max_num_queries: Any
) -> None:
    client = as_(alice)
    html = page(client, unpaid)
    assert "Nothing runs yet." in html
    assert "59.00 USD" in html
    pay(unpaid, "59.00", by=sam)
    with django_assert_max_num_queries(10):
        html = page(client, unpaid)
    assert "10 GB" in html
    assert "59.00 USD, yearly" in html
    assert html.count("Nothing\n") == 2
    invoice = fresh(unpaid).invoice
    assert invoice
    assert invoice.number in html


def test_the_sum_of_the_order_is_named_until_the_plan_changes(
    taxed: Any, unpaid: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    pay(unpaid, fresh(unpaid).due_amount, by=sam)
    assert "(the first time 70.21 USD with tax)" in page(as_(alice), unpaid)
    Subscription.objects.get()._take_version(Plan.objects.get(slug="25gb").present_version(), by=alice)
    assert "(the first time" not in page(as_(alice), unpaid)


def test_it_says_what_is_held(unpaid: Order, alice: User, sam: User, as_: AsPerson) -> None:
    pay(unpaid, "20.00", by=sam)
    fresh(unpaid).cancel(by=alice)
    html = page(as_(alice), unpaid)
    assert "20.00 USD" in html
    assert "Money that came in and pays no invoice." in html


def test_a_stranger_gets_404(unpaid: Order, mallory: User, as_: AsPerson) -> None:
    assert as_(mallory).get(f"/c/{unpaid.customer.username}/billing/").status_code == 404


def test_a_reader_may_read_it(unpaid: Order, bob: User, as_: AsPerson) -> None:
    unpaid.customer.memberships.create(user=bob, role=Role.READER)
    assert "To be paid" in page(as_(bob), unpaid)


def test_one_who_has_ordered_nothing(acme: Customer, alice: User, as_: AsPerson) -> None:
    html = as_(alice).get(f"/c/{acme.username}/billing/").content.decode()
    assert "There are none. An invoice is issued when an order is to be paid." in html
