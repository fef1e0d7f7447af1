"""Who tries codes of coupons is stopped for all of their network, by every form and in the API."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import Customer, User
from billing.models import CouponUse, Order, OrderDraft, Subscription
from tests.billing.coupons import coupon
from tests.billing.renewed import BEGAN, on_day
from tests.billing.test_api_orders import WISH
from tests.program import Program

AsPerson = Callable[[User], Client]


@pytest.fixture(autouse=True)
def two_a_minute(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr("billing.coupon_guesses.MOST", 2)
    monkeypatch.setattr("foundation.limits.time", lambda: 1_800_000_000.0)
    coupon()


def test_on_the_order_page_also_one_that_is_right_and_none_without_a_code(
    as_: AsPerson, mallory: User, alice: User, fields: dict[str, str]
) -> None:
    client = as_(mallory)
    for step in ("review", "save"):
        client.post("/order/", fields | {"coupon": "GUESSED-1", "step": step})
    for step in ("review", ""):
        answer = as_(alice).post("/order/", fields | {"coupon": "SPRING-20", "step": step})
        assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    assert client.post("/order/", fields | {"step": "review"}).status_code == 302
    assert not Order.objects.exists()


def test_one_that_we_know_is_not_a_guess(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    coupon("FIRST-20", most_uses=1, valid_until_on="2026-01-01")
    for _ in range(4):
        answer = as_(mallory).post("/order/", fields | {"coupon": "FIRST-20", "step": "review"})
        assert answer.status_code == 422


def test_of_a_draft(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    OrderDraft.objects.create(user=mallory, fields=fields | {"coupon": "GUESSED-1"})
    answers = [as_(mallory).get("/order/?step=review").status_code for _ in range(3)]
    assert answers == [200, 200, 429]


@pytest.mark.parametrize("more", [{}, {"Idempotency-Key": "guess-1"}])
def test_in_the_api(acme: Customer, alice: User, more: dict[str, str]) -> None:
    program = Program(acme, alice)
    sent = [program.post("orders", WISH | {"coupon": "GUESSED-1"}, **more).status_code for _ in range(3)]
    assert sent == [400, 400, 429]
    assert program.post("orders", WISH | {"coupon": "SPRING-20"}, **more).status_code == 429
    assert program.post("orders", WISH).status_code == 201


def test_on_the_page_of_billing(service: Subscription, anna: Customer, alice: User, as_: AsPerson) -> None:
    path = f"/c/{anna.username}/billing/coupon/use/"
    with on_day(BEGAN + timedelta(days=9)):
        client = as_(alice)
        for code, status in (("GUESSED-1", 422), ("GUESSED-2", 422), ("SPRING-20", 429)):
            assert client.post(path, {"coupon": code}).status_code == status
    assert not CouponUse.objects.exists()
