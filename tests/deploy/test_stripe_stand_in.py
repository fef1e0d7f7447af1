"""The Stripe stand-in answers Stripe's own library, over HTTP, as Stripe would."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
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


def test_a_session_is_paid_on_its_page(server: Server, client: stripe.StripeClient) -> None:
    session = client.v1.checkout.sessions.create({**WISH, "metadata": {"order": "A-1"}})
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 5900)
    assert session.url
    assert "10 GB" in requests.get(session.url, timeout=5).text
    answer = enter(session.url, "4242 4242 4242 4242")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"https://panel.test/{session.id}/")
    found = client.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["payment_intent.latest_charge", "line_items"]}
    )
    assert (found.status, found.payment_status, found.url) == ("complete", "paid", None)
    assert isinstance(found.payment_intent, stripe.PaymentIntent)
    charge = found.payment_intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert charge.payment_method_details
    assert charge.payment_method_details.card
    assert charge.payment_method_details.card.last4 == "4242"
    assert found.line_items
    assert [line.amount_total for line in found.line_items.data] == [5900]
    assert "This page is over" in enter(session.url, "4242424242424242").text


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("4000000000000002", "Your card was declined."),
        ("4000000000009995", "insufficient funds"),
        ("4000000000000069", "has expired"),
        ("4111", "number is invalid"),
    ],
)
def test_a_declined_card_can_be_followed_by_another(
    client: stripe.StripeClient, number: str, says: str
) -> None:
    session = client.v1.checkout.sessions.create({**WISH})
    assert session.url
    answer = enter(session.url, number)
    assert answer.status_code == 402
    assert says in answer.text
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert enter(session.url, "4242424242424242").status_code == 303


@pytest.mark.parametrize("number", ["4000002760003184", "4000002500003155"])
def test_three_d_secure_is_asked(client: stripe.StripeClient, number: str) -> None:
    session = client.v1.checkout.sessions.create({**WISH})
    assert session.url
    assert "Your bank asks" in enter(session.url, number).text
    assert client.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert requests.post(session.url, data={"authentication": "fail"}, timeout=5).status_code == 402
    enter(session.url, number)
    answer = requests.post(session.url, data={"authentication": "complete"}, allow_redirects=False, timeout=5)
    assert answer.status_code == 303
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_a_session_expires_when_asked_and_by_itself(server: Server, client: stripe.StripeClient) -> None:
    first = client.v1.checkout.sessions.create({**WISH})
    assert client.v1.checkout.sessions.expire(first.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match='status in \\["open"\\]'):
        client.v1.checkout.sessions.expire(first.id)
    second = client.v1.checkout.sessions.create({**WISH})
    switch(server, "clock", {"advance": 24 * 3600})
    assert client.v1.checkout.sessions.retrieve(second.id).status == "expired"


def save_card(client: stripe.StripeClient, number: str) -> tuple[str, str]:
    """A customer and the payment method that was saved on the hosted page."""
    customer = client.v1.customers.create({"email": "anna@example.test"})
    session = client.v1.checkout.sessions.create(
        {"mode": "setup", "currency": "usd", "customer": customer.id, "success_url": "https://panel.test/"}
    )
    assert session.url
    if "Your bank asks" in enter(session.url, number).text:
        requests.post(session.url, data={"authentication": "complete"}, allow_redirects=False, timeout=5)
    [method] = client.v1.customers.payment_methods.list(customer.id, {"type": "card"}).data
    return customer.id, method.id


def charge(client: stripe.StripeClient, customer: str, method: str) -> stripe.PaymentIntent:
    return client.v1.payment_intents.create(
        {
            "amount": 100, "currency": "usd", "customer": customer, "payment_method": method, "off_session": True,
            "confirm": True,
        }
    )  # fmt: skip


@pytest.mark.parametrize("number", ["4242424242424242", "4000002500003155"])
def test_a_saved_card_is_charged_without_its_owner(client: stripe.StripeClient, number: str) -> None:
    assert charge(client, *save_card(client, number)).status == "succeeded"


@pytest.mark.parametrize(
    ("number", "code"),
    [("4000000000000341", "card_declined"), ("4000002760003184", "authentication_required")],
)
def test_a_saved_card_is_declined(client: stripe.StripeClient, number: str, code: str) -> None:
    with pytest.raises(stripe.CardError) as declined:
        charge(client, *save_card(client, number))
    assert declined.value.code == code
    assert declined.value.error
    intent = declined.value.error.payment_intent
    assert intent
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"


def paid(client: stripe.StripeClient) -> stripe.PaymentIntent:
    return client.v1.payment_intents.create(
        {"amount": 5900, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )


def test_money_is_refunded_once_and_never_more(client: stripe.StripeClient) -> None:
    intent = paid(client)
    assert client.v1.refunds.create({"payment_intent": intent.id, "amount": 900}).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 5001})
    client.v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError) as again:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert again.value.code == "charge_already_refunded"
    amounts = [refund.amount for refund in client.v1.refunds.list({"payment_intent": intent.id}).data]
    assert amounts == [5000, 900]


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [
        ({"amuont": 1}, "parameter_unknown", "amuont"),
        ({"metadata": {"order": "x" * 501}}, None, "metadata"),
        ({"reason": "whim"}, None, "reason"),
        ({"amount": "1.5"}, "parameter_invalid_integer", "amount"),
        ({"reverse_transfer": "perhaps"}, None, "reverse_transfer"),
        ({"payment_intent": "pi_none"}, "resource_missing", "payment_intent"),
        ({"reverse_transfer": True}, "stand_in_lacks_it", None),
    ],
)
def test_parameters_are_read_by_the_types_of_the_library(
    client: stripe.StripeClient, wrong: Any, code: str | None, param: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": paid(client).id, **wrong})
    assert (refused.value.code, refused.value.param) == (code, param)


def test_what_is_missing_deep_inside_is_named(client: stripe.StripeClient) -> None:
    line: Any = {"price_data": {"unit_amount": 1}}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.checkout.sessions.create({**WISH, "line_items": [line]})
    assert (refused.value.code, refused.value.param) == (
        "parameter_missing",
        "line_items[0][price_data][currency]",
    )


def test_a_key_or_version_of_another_is_refused(server: Server) -> None:
    with pytest.raises(stripe.AuthenticationError):
        client_of(server, "sk_test_of_another").v1.refunds.list()
    with pytest.raises(stripe.InvalidRequestError, match="Invalid Stripe API version"):
        client_of(server).v1.refunds.list(options={"stripe_version": "2020-08-27"})


def test_a_list_is_paged_and_bounded_by_time(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({"name": f"Nr. {number}"}) for number in range(5)]
    since = {"created": {"gte": made[0].created}}
    pages = client.v1.customers.list({"limit": 2, "created": {"gte": made[0].created}})
    assert pages.has_more
    names = [customer.name for customer in pages.auto_paging_iter()][:5]
    assert names == [f"Nr. {number}" for number in (4, 3, 2, 1, 0)]
    assert client.v1.customers.list({"created": {"lt": since["created"]["gte"] - 1_000_000}}).data == []


def test_every_kind_is_listed_and_fetched(client: stripe.StripeClient) -> None:
    """Each object loads with the library, and again by its id."""
    paid(client)
    v1 = client.v1
    services: list[Any] = [
        v1.customers,
        v1.payment_intents,
        v1.charges,
        v1.checkout.sessions,
        v1.events,
        v1.setup_intents,
    ]
    for service in [*services, v1.refunds, v1.payment_methods]:
        found = service.list({"limit": 3}).data
        assert found
        for each in found:
            assert service.retrieve(each.id).to_dict() == each.to_dict()


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
        time.sleep(0.3)
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


def wait(until: Callable[[], Any], seconds: float = 10) -> None:
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
