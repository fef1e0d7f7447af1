"""Orders and money in the stock admin: seen and searched, not edited, with few queries."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from billing.models import Order, Payment
from tests.billing.conftest import pay

AsPerson = Callable[[User], Client]
MODELS = [
    "plan",
    "order",
    "payment",
    "subscription",
    "fraudreport",
    "storageusage",
    "billingdetails",
    "taxrate",
    "invoice",
    "ledgerentry",
    "cardonfile",
    "cardsetup",
    "coupon",
    "couponuse",
    "renewal",
    "renewalcharge",
]


@pytest.mark.parametrize("model", MODELS)
def test_lists_and_searches(
    unpaid: Order, sam: User, as_: AsPerson, model: str, django_assert_max_num_queries: Any
) -> None:
    pay(unpaid, "59.00", by=sam)
    client = as_(sam)
    with django_assert_max_num_queries(16):
        assert client.get(f"/admin/billing/{model}/").status_code == 200
    assert client.get(f"/admin/billing/{model}/?q=a").status_code == 200


def test_money_cannot_be_edited(unpaid: Order, sam: User, as_: AsPerson) -> None:
    pay(unpaid, "10.00", by=sam)
    client = as_(sam)
    payment = Payment.objects.get()
    path = f"/admin/billing/payment/{payment.pk}"
    assert client.get(f"{path}/change/").status_code == 200
    assert client.post(f"{path}/change/", {"amount_minor": 1}).status_code == 403
    assert client.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
    assert client.post("/admin/billing/payment/add/", {}).status_code == 403
    payment.refresh_from_db()
    assert payment.amount_minor == 1000


def test_an_order_leads_to_its_review(unpaid: Order, sam: User, as_: AsPerson) -> None:
    html = as_(sam).get("/admin/billing/order/").content.decode()
    assert f'href="/admin/review/{unpaid.number}/"' in html
