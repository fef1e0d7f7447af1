"""The Stripe stand-in under faults: requests that are repeated, replies that are lost, webhooks as they come."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stripe

from deploy.stripe_stand_in.server import Server
from tests.deploy.stripe_server import (
    WEBHOOK_SECRET,
    WISH,
    client,
    client_of,
    enter,
    paid,
    server,
    started,
    switch,
    target,
)
from tests.webhook_target import Target

__all__ = ["client", "server", "target"]


# Idempotency


def test_the_same_key_brings_the_same_reply(client: stripe.StripeClient) -> None:
    intent = paid(client)
    refunds = [
        client.v1.refunds.create(
            {"payment_intent": intent.id, "amount": 1}, {"idempotency_key": f"once-{intent.id}"}
        )
        for _ in range(3)
    ]
    assert len({refund.id for refund in refunds}) == 1
    with pytest.raises(stripe.IdempotencyError):
        client.v1.refunds.create(
            {"payment_intent": intent.id, "amount": 2}, {"idempotency_key": f"once-{intent.id}"}
        )
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"name": "x"}, {"idempotency_key": f"once-{intent.id}"})


def test_what_was_refused_before_it_began_leaves_the_key_free(client: stripe.StripeClient) -> None:
    intent = paid(client)
    wrong: Any = {"payment_intent": intent.id, "amount": "x"}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create(wrong, {"idempotency_key": f"free-{intent.id}"})
    assert client.v1.refunds.create(
        {"payment_intent": intent.id}, {"idempotency_key": f"free-{intent.id}"}
    ).id


@pytest.mark.parametrize(("fault", "refunded"), [("500", 0), ("500-after", 5900)])
def test_a_kept_500_comes_again(
    server: Server, client: stripe.StripeClient, fault: str, refunded: int
) -> None:
    intent = paid(client)
    switch(server, "faults", [{"on": "POST /v1/refunds", "fault": fault}])
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            client.v1.refunds.create(
                {"payment_intent": intent.id}, {"idempotency_key": f"{fault}-{intent.id}"}
            )
    assert (
        sum(refund.amount for refund in client.v1.refunds.list({"payment_intent": intent.id}).data)
        == refunded
    )


def test_a_lost_reply_is_had_by_asking_again(server: Server) -> None:
    client = client_of(server, retries=2)  # which the library does by itself, under the same key
    intent = paid(client)
    switch(server, "faults", [{"on": "POST /v1/refunds", "fault": "lost"}])
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 5})
    assert [refund.amount for refund in client.v1.refunds.list({"payment_intent": intent.id}).data] == [5]


def test_a_request_under_way_is_not_begun_twice(server: Server, client: stripe.StripeClient) -> None:
    intent = paid(client)
    switch(server, "faults", [{"on": "POST /v1/refunds", "fault": "slow", "seconds": 1}])

    def refund() -> Any:
        return client.v1.refunds.create(
            {"payment_intent": intent.id}, {"idempotency_key": f"slow-{intent.id}"}
        )

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(refund)
        wait(lambda: f"slow-{intent.id}" in server.replies.under_way)
        with pytest.raises(stripe.APIError) as second:
            refund()
        assert (second.value.http_status, first.result().amount) == (409, 5900)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("429", stripe.RateLimitError), ("409", stripe.APIError), ("unreached", stripe.APIConnectionError)],
)
def test_other_faults_do_nothing_and_pass(
    server: Server, client: stripe.StripeClient, fault: str, error: type[Exception]
) -> None:
    intent = paid(client)
    switch(server, "faults", [{"on": "POST /v1/refunds", "fault": fault}])
    with pytest.raises(error):
        client.v1.refunds.create({"payment_intent": intent.id}, {"idempotency_key": f"{fault}-{intent.id}"})
    assert client.v1.refunds.list({"payment_intent": intent.id}).data == []
    client.v1.refunds.create({"payment_intent": intent.id}, {"idempotency_key": f"{fault}-{intent.id}"})


# Webhooks


@pytest.fixture
def told(server: Server, target: Target) -> Iterator[Callable[[], list[Any]]]:
    """The events that came since, each checked by the library; those of before are let out first."""
    wait(lambda: not server.books.owed)
    target.calls.clear()
    yield lambda: [
        stripe.Webhook.construct_event(body, headers["Stripe-Signature"], WEBHOOK_SECRET)
        for headers, body in list(target.calls)
    ]
    switch(server, "webhooks", {"copies": 1, "delay": 0, "hold": False, "lose": 0})


def wait(until: Callable[[], Any], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.02)


def test_events_are_signed_and_whole(
    server: Server, client: stripe.StripeClient, told: Callable[[], list[Any]]
) -> None:
    session = client.v1.checkout.sessions.create({**WISH})
    enter(str(session.url), "4242424242424242")
    wait(lambda: "checkout.session.completed" in [event.type for event in told()])
    event = told()[-1]
    assert (event.data.object.id, event.api_version) == (session.id, stripe.api_version)
    assert client.v1.events.retrieve(event.id).data.object["payment_status"] == "paid"


def test_webhooks_come_twice_late_or_in_another_order(
    server: Server, client: stripe.StripeClient, target: Target, told: Callable[[], list[Any]]
) -> None:
    switch(server, "webhooks", {"copies": 2, "hold": True})
    paid(client)
    assert told() == []
    switch(server, "webhooks", {"release": "reversed"})
    wait(lambda: len(told()) == 6)
    kinds = [event.type for event in told()]
    assert kinds[::2] == ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]


def test_a_lost_webhook_never_comes(
    server: Server, client: stripe.StripeClient, told: Callable[[], list[Any]]
) -> None:
    switch(server, "webhooks", {"lose": 2})
    paid(client)
    wait(lambda: told() and not server.books.owed)
    assert [event.type for event in told()] == ["payment_intent.succeeded"]


def test_a_refused_webhook_comes_again(
    server: Server, client: stripe.StripeClient, target: Target, told: Callable[[], list[Any]]
) -> None:
    answers = iter([503, 503])
    target.answer = lambda path: (next(answers, 204), b"")
    client.v1.customers.create({"name": "Again"})
    wait(lambda: len(told()) == 3)
    assert len({event.id for event in told()}) == 1


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    file = tmp_path / "books.json"
    with started(file=file) as first:
        intent = paid(client_of(first))
        client_of(first).v1.refunds.create(
            {"payment_intent": intent.id}, {"idempotency_key": "over a restart"}
        )
        first.shutdown()
    with started(file=file) as second:
        client = client_of(second)
        client.v1.refunds.create({"payment_intent": intent.id}, {"idempotency_key": "over a restart"})
        assert switch(second, "sums")["sums"] == {"usd": {"charged": 5900, "refunded": 5900, "charges": 1}}
        second.shutdown()
