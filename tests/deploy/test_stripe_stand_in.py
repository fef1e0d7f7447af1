"""The Stripe stand-in answers Stripe's own library, over HTTP, as Stripe would."""

from typing import Any

import pytest
import requests
import stripe

from deploy.stripe_stand_in.server import Server
from tests.deploy.stripe_server import WISH, client, client_of, enter, paid, server, switch, target

__all__ = ["client", "server", "target"]


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
