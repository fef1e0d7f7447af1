"""A stand-in for Stripe on a port of its own, and what its tests do with it."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import stripe

from deploy.stripe_stand_in.server import Server
from tests.webhook_target import Target, listening

KEY, WEBHOOK_SECRET = "sk_test_of_tests", "whsec_of_tests"
LINE = {
    "price_data": {"currency": "usd", "unit_amount": 5900, "product_data": {"name": "10 GB"}},
    "quantity": 1,
}
WISH: dict[str, Any] = {
    "mode": "payment",
    "line_items": [LINE],
    "success_url": "https://panel.test/{CHECKOUT_SESSION_ID}/",
}


def started(**options: Any) -> Server:
    server = Server("127.0.0.1", 0, KEY, WEBHOOK_SECRET, **options)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with listening() as found:
        yield found


@pytest.fixture(scope="module")
def server(target: Target) -> Iterator[Server]:
    with started(webhook_url=target.url) as server:
        yield server
        server.shutdown()


@pytest.fixture
def client(server: Server) -> stripe.StripeClient:
    return client_of(server)


def client_of(server: Server, key: str = KEY, retries: int = 0) -> stripe.StripeClient:
    return stripe.StripeClient(key, base_addresses={"api": server.books.base}, max_network_retries=retries)


def switch(server: Server, name: str, wish: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {KEY}"}
    method = "GET" if wish is None else "POST"
    return requests.request(
        method, f"{server.books.base}/stand-in/{name}", json=wish, headers=headers, timeout=5
    ).json()


def enter(url: str, number: str, **more: str) -> requests.Response:
    """Send the form of the hosted page."""
    fields = {
        "email": "anna@example.test",
        "name": "Anna",
        "number": number,
        "expiry": "12 / 40",
        "cvc": "123",
        **more,
    }
    return requests.post(url, data=fields, allow_redirects=False, timeout=5)


def paid(client: stripe.StripeClient) -> stripe.PaymentIntent:
    return client.v1.payment_intents.create(
        {"amount": 5900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )
