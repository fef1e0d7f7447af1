"""The Stripe stand-in after the payment: refunds that settle by themselves, disputes, and refusals on purpose."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import pytest
import stripe

from deploy.stripe_stand_in.server import Server
from tests.deploy.stripe_server import WISH, client, server, switch, target

__all__ = ["client", "server", "target"]


def paid_with(client: stripe.StripeClient, method: str) -> stripe.PaymentIntent:
    wish: Any = {"amount": 5900, "currency": "usd", "payment_method": method, "confirm": True}
    return client.v1.payment_intents.create(wish)


@pytest.mark.parametrize(
    ("method", "first", "then", "kept"),
    [
        ("pm_card_pendingRefund", "pending", "succeeded", 0),
        ("pm_card_refundFail", "succeeded", "failed", 5900),
    ],
)
def test_a_refund_settles_by_itself(
    server: Server, client: stripe.StripeClient, method: str, first: str, then: str, kept: int
) -> None:
    intent = paid_with(client, method)
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == first
    switch(server, "clock", {"advance": 61})
    assert client.v1.refunds.retrieve(refund.id).status == then
    [charge] = client.v1.charges.list({"payment_intent": intent.id}).data
    assert charge.amount - charge.amount_refunded == kept
    kind = "refund.failed" if then == "failed" else "refund.updated"
    assert client.v1.events.list({"type": kind}).data[0].data.object["id"] == refund.id


def test_a_payment_is_disputed(client: stripe.StripeClient) -> None:
    intent = paid_with(client, "pm_card_createDispute")
    [event, *_] = client.v1.events.list({"type": "charge.dispute.created"}).data
    dispute = client.v1.disputes.retrieve(event.data.object["id"])
    assert (dispute.payment_intent, dispute.amount, dispute.status) == (intent.id, 5900, "needs_response")


def test_an_address_that_is_none_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        client.v1.checkout.sessions.create({**WISH, "customer_email": "anna@b\u00fccher.test"})
    assert error.value.code == "email_invalid"


def test_a_twin_fails_while_the_first_is_under_way(server: Server, client: stripe.StripeClient) -> None:
    """And its 503 is not what the key answers from then on."""
    on = "POST /v1/checkout/sessions"
    switch(server, "faults", [{"on": on, "fault": "slow", "seconds": 1}, {"on": on, "fault": "503"}])

    def create() -> Any:
        return client.v1.checkout.sessions.create(WISH, {"idempotency_key": "twins"})

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(create)
        while "twins" not in server.replies.under_way:
            sleep(0.01)
        with pytest.raises(stripe.APIError) as twin:
            create()
        assert twin.value.http_status == 503
        assert first.result().id == create().id


def test_a_call_is_refused_on_purpose(server: Server, client: stripe.StripeClient) -> None:
    intent = paid_with(client, "pm_card_visa")
    switch(server, "faults", [{"on": "POST /v1/refunds", "fault": "refused", "code": "balance_insufficient"}])
    with pytest.raises(stripe.InvalidRequestError) as error:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert error.value.code == "balance_insufficient"
