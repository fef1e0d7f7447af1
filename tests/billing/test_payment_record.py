"""Recording money by hand: the exact sum starts the service, a part does not."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import AuditEntry, Customer, Notice, User
from billing.entitlements import Feature, limit
from billing.models import Order, Payment, Subscription
from billing.signals import service_started
from tests.billing.conftest import fresh

AsPerson = Callable[[User], Client]
TRANSFER = {"method": "bank_transfer", "reference": "R-1", "amount": "59.00", "currency": "USD"}


def record(client: Client, order: Order, **changes: str) -> Any:
    return client.post(f"/admin/review/{order.number}/payment/", TRANSFER | changes)


def test_exact_sum_activates(unpaid: Order, sam: User, as_: AsPerson) -> None:
    heard: list[Customer] = []

    def hear(customer: Customer, **kwargs: Any) -> None:
        assert connection.in_atomic_block
        heard.append(customer)

    service_started.connect(hear)
    try:
        answer = record(as_(sam), unpaid)
    finally:
        service_started.disconnect(hear)
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/review/{unpaid.number}/")
    order = fresh(unpaid)
    assert order.status == "active"
    assert heard == [order.customer]
    assert order.customer.activated_at
    assert limit(order.customer, Feature.STORAGE_MB) == 10 * 1024
    assert limit(order.customer, Feature.MAILBOXES) is None
    assert Notice.objects.filter(kind="order.active").count() == 1
    assert AuditEntry.objects.get(action="payment.record").after["amount"] == "59.00 USD"
    assert AuditEntry.objects.filter(action="order.activate", by=sam).count() == 1


def test_a_part_does_not_and_the_rest_does(unpaid: Order, sam: User, as_: AsPerson) -> None:
    client = as_(sam)
    assert b'data-amount="59.00"' in client.get(f"/admin/review/{unpaid.number}/").content
    record(client, unpaid, amount="58.99")
    order = fresh(unpaid)
    assert (order.status, order.due_minor) == ("unpaid", 1)
    assert not order.customer.activated_at
    assert b'data-amount="0.01"' in client.get(f"/admin/review/{unpaid.number}/").content
    record(client, unpaid, amount="0.01", reference="R-2", method="other")
    assert fresh(unpaid).status == "active"
    assert b'data-amount="0.00"' in client.get(f"/admin/review/{unpaid.number}/").content


@pytest.mark.parametrize("who", ["alice", "mallory"])
def test_others_get_403(unpaid: Order, as_: AsPerson, request: pytest.FixtureRequest, who: str) -> None:
    assert record(as_(request.getfixturevalue(who)), unpaid).status_code == 403
    assert fresh(unpaid).status == "unpaid"


def test_after_the_sum_is_in_nothing_more_is_taken(unpaid: Order, sam: User, as_: AsPerson) -> None:
    client = as_(sam)
    record(client, unpaid)
    answer = record(client, unpaid, reference="another")
    assert answer.status_code == 409
    assert Payment.objects.count() == Subscription.objects.count() == 1


def test_a_double_click_is_one_payment(unpaid: Order, sam: User, as_: AsPerson) -> None:
    client = as_(sam)
    for extra in ({"submission": "s" * 32}, {"csrfmiddlewaretoken": "same"}):
        for _ in range(2):
            assert record(client, unpaid, amount="10.00", **extra).status_code == 302
    assert [payment.amount_minor for payment in fresh(unpaid).payments.all()] == [1000, 1000]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "59.01"}, "amount"),
        ({"amount": "118.00"}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"amount": "0.00"}, "amount"),
        ({"amount": "-59.00"}, "amount"),
        ({"amount": "59,00"}, "amount"),
        ({"amount": "5.9e1"}, "amount"),
        ({"amount": "59.000"}, "amount"),
        ({"amount": "\u0665\u0669"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": ""}, "amount"),
        ({"amount": "9" * 65536}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"currency": "usdollar"}, "currency"),
        ({"currency": "U\0D"}, "currency"),
        ({"currency": ""}, "currency"),
        ({"method": "cash"}, "method"),
        ({"reference": "a\nb"}, "reference"),
        ({"reference": "x" * 101}, "reference"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_recorded(
    unpaid: Order, sam: User, as_: AsPerson, changes: dict[str, str], field: str
) -> None:
    answer = record(as_(sam), unpaid, **changes)
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert Payment.objects.count() == 0


@pytest.mark.parametrize("status", ["review", "rejected", "cancelled", "checking"])
def test_only_for_an_order_that_is_to_be_paid(
    ordered: Callable[..., Order], in_review: Order, alice: User, sam: User, as_: AsPerson, status: str
) -> None:
    order = ordered() if status == "checking" else in_review
    if status == "rejected":
        order.reject("", by=sam)
    elif status == "cancelled":
        order.cancel(by=alice)
    answer = record(as_(sam), order)
    assert answer.status_code == 409
    assert "Nothing was changed" in answer.content.decode()
    assert Payment.objects.count() == 0


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_many_at_the_same_moment_start_one_service(
    unpaid: Order, sam: User, as_: AsPerson, quiet_broker: None
) -> None:
    clients = [(as_(sam), f"R-{number}") for number in range(6)]

    def act(pair: tuple[Client, str]) -> int:
        try:
            return record(pair[0], unpaid, reference=pair[1]).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(act, clients))
    assert statuses == [302, 409, 409, 409, 409, 409]
    assert Payment.objects.count() == Subscription.objects.count() == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_payment_and_cancellation_at_the_same_moment_end_in_one_of_them(
    unpaid: Order, alice: User, sam: User, as_: AsPerson, quiet_broker: None
) -> None:
    paying, cancelling = as_(sam), as_(alice)

    def act(number: int) -> int:
        try:
            if number:
                return record(paying, unpaid).status_code
            return cancelling.post(f"/order/{unpaid.number}/cancel/").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(act, range(2)))
    order = fresh(unpaid)
    assert statuses == [302, 409]
    assert order.status in ("active", "cancelled")
    assert Payment.objects.count() == (1 if order.status == "active" else 0)


def test_a_failing_listener_leaves_nothing_half_done(unpaid: Order, sam: User, as_: AsPerson) -> None:
    def fail(**kwargs: Any) -> None:
        raise RuntimeError("no server")

    service_started.connect(fail)
    client = as_(sam)
    client.raise_request_exception = False
    try:
        assert record(client, unpaid).status_code == 500
    finally:
        service_started.disconnect(fail)
    order = fresh(unpaid)
    assert (order.status, Payment.objects.count(), order.customer.activated_at) == ("unpaid", 0, None)


def test_a_payment_is_neither_changed_nor_deleted(unpaid: Order, sam: User, as_: AsPerson) -> None:
    record(as_(sam), unpaid, amount="1.00")
    payment = Payment.objects.get()
    payment.amount_minor = 5900
    with pytest.raises(TypeError):
        payment.save()
    with pytest.raises(TypeError):
        payment.delete()


def test_get_is_405(unpaid: Order, sam: User, as_: AsPerson) -> None:
    assert as_(sam).get(f"/admin/review/{unpaid.number}/payment/").status_code == 405


def test_nobody_records_a_payment_for_an_order_of_their_own(unpaid: Order, sam: User, as_: AsPerson) -> None:
    Order.objects.filter(pk=unpaid.pk).update(placed_by=sam)
    answer = record(as_(sam), unpaid)
    assert answer.status_code == 409
    assert "You placed this order yourself" in answer.content.decode()
    assert fresh(unpaid).paid_minor == 0
