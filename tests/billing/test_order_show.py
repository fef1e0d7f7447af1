"""The page of an order in each of its states, and the list of a customer's orders."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Customer, Role, User
from billing import screening
from billing.models import MessageKind, Order
from deploy.fraudrecord import Server
from tests.billing.conftest import fresh, pay

AsPerson = Callable[[User], Client]
Make = Callable[..., Order]


def bring_to(order: Order, status: str, *, alice: User, sam: User) -> Order:
    """Walk a reviewed order to `status` by its verbs."""
    if status == "question":
        order.ask_question("Whose domain is it?", by=sam)
    elif status == "rejected":
        order.reject("We do not serve this kind of use.", by=sam)
    elif status == "cancelled":
        order.cancel(by=alice)
    elif status in ("unpaid", "active"):
        order.approve("fine", by=sam)
        if status == "active":
            pay(fresh(order), "59.00", by=sam)
    return fresh(order)


TEXTS = {
    "review": "Our staff are looking",
    "question": "Whose domain is it?",
    "unpaid": 'data-amount="59.00"',
    "active": "Add your first domain",
    "rejected": "We do not serve this kind of use.",
    "cancelled": "place another",
}


@pytest.mark.parametrize("status", TEXTS)
def test_each_state(
    in_review: Order, alice: User, sam: User, as_: AsPerson, settings: Any, status: str
) -> None:
    settings.PAYMENT_INSTRUCTIONS = "Pay to IBAN XX00 & wait."
    order = bring_to(in_review, status, alice=alice, sam=sam)
    html = as_(alice).get(order.get_absolute_url()).content.decode()
    assert order.status == status
    assert f'data-status="{status}"' in html
    assert html.count("data-status=") == 1
    assert f'href="/c/{order.customer.username}/"' in html
    assert TEXTS[status] in html
    assert ("Cancel this order" in html) == order.is_open
    assert ("IBAN XX00 &amp; wait." in html) == (status == "unpaid")
    assert "sam@" not in html  # who of staff decided is theirs
    assert "fine" not in html  # so is the note of an approval


def test_checking(ordered: Make, alice: User, as_: AsPerson) -> None:
    html = as_(alice).get(ordered().get_absolute_url()).content.decode()
    assert 'data-status="checking"' in html
    assert 'hx-trigger="every 2s"' in html


@pytest.mark.parametrize("status", ["checking", *TEXTS])
def test_status_is_the_same_in_sql(ordered: Make, alice: User, sam: User, settings: Any, status: str) -> None:
    settings.FRAUDRECORD_API_KEY = ""
    order = ordered()
    if status != "checking":
        screening.check_order(order.pk)
        order = bring_to(fresh(order), status, alice=alice, sam=sam)
    assert Order.objects.with_status().get(pk=order.pk).status_now == order.status == status


def test_status_after_an_answer_and_after_a_clean_check_is_the_same_in_sql(
    ordered: Make, in_review: Order, alice: User, sam: User, fraudrecord: Server
) -> None:
    in_review.ask_question("Who?", by=sam)
    fresh(in_review).answer_question("Me.", by=alice)
    clean = ordered()
    screening.check_order(clean.pk)
    for order, status in ((in_review, "review"), (clean, "unpaid")):
        assert Order.objects.with_status().get(pk=order.pk).status_now == fresh(order).status == status
    clean.messages.create(kind=MessageKind.ANSWER, text="x", by=alice)
    assert Order.objects.with_status().get(pk=clean.pk).status_now == fresh(clean).status == "review"


def test_a_stranger_gets_404_like_for_an_order_that_does_not_exist(
    in_review: Order, mallory: User, as_: AsPerson
) -> None:
    client = as_(mallory)
    foreign = client.get(in_review.get_absolute_url())
    unknown = client.get("/order/ZZZZ-ZZZZ-ZZ/")
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.content == unknown.content
    assert client.get(f"/c/{in_review.customer.username}/orders/").status_code == 404


def test_anonymous_is_sent_to_the_sign_in(in_review: Order, client: Client) -> None:
    for path in (in_review.get_absolute_url(), "/order/ZZZZ-ZZZZ-ZZ/"):
        assert client.get(path)["Location"] == f"/accounts/login/?next={path}"


def test_a_reader_sees_and_is_offered_nothing(in_review: Order, bob: User, sam: User, as_: AsPerson) -> None:
    in_review.customer.add_member(bob, Role.READER, by=None)
    in_review.ask_question("Who?", by=sam)
    html = as_(bob).get(in_review.get_absolute_url()).content.decode()
    assert "Who?" in html
    assert "<textarea" not in html
    assert "Cancel this order" not in html


@pytest.mark.odd_rows
def test_list(ordered: Make, alice: User, as_: AsPerson, django_assert_max_num_queries: Any) -> None:
    order = ordered()
    for _ in range(12):
        Order.objects.bulk_create([copy_of(order)])
    client = as_(alice)
    with django_assert_max_num_queries(12):
        answer = client.get(f"/c/{order.customer.username}/orders/")
    assert answer.status_code == 200
    assert order.number in answer.content.decode()


def copy_of(order: Order) -> Order:
    twin = Order.objects.get(pk=order.pk)
    for field in ("id", "number", "submission"):
        setattr(twin, field, Order._meta.get_field(field).get_default())
    return twin


def test_few_queries(
    in_review: Order, alice: User, sam: User, as_: AsPerson, django_assert_max_num_queries: Any
) -> None:
    in_review.ask_question("Who?", by=sam)
    client = as_(alice)
    client.get(in_review.get_absolute_url())
    with django_assert_max_num_queries(10):
        client.get(in_review.get_absolute_url())


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_only_reading(in_review: Order, alice: User, as_: AsPerson, method: str) -> None:
    assert getattr(as_(alice), method)(in_review.get_absolute_url()).status_code == 405


def test_each_order_is_a_customer_of_its_own(ordered: Make) -> None:
    assert ordered().customer != ordered().customer
    assert Customer.objects.count() == 2


def test_its_invoice_is_named(unpaid: Order, alice: User, as_: AsPerson) -> None:
    client = as_(alice)
    unpaid.cancel(by=alice)
    html = client.get(unpaid.get_absolute_url()).content.decode()
    for invoice in unpaid.invoices.all():
        assert f'<a href="{invoice.get_absolute_url()}">{invoice.number}</a>' in html
    assert unpaid.invoices.count() == 2
