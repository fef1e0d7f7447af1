"""Cards that the stand-in keeps: saved with or without a payment, charged later, changed, and taken off for good."""

from typing import Any

import pytest
import requests
import stripe

from deploy.stripe_stand_in.server import Server
from tests.deploy.stripe_server import WISH, client, enter, server, switch, target
from tests.deploy.test_stripe_stand_in import charge, save_card

__all__ = ["client", "server", "target"]


def kinds(client: stripe.StripeClient, about: str) -> list[str]:
    """Of the events about it, oldest first."""
    found = client.v1.events.list({"limit": 100}).data
    return [event.type for event in reversed(found) if event.data.object["id"] == about]


@pytest.mark.parametrize("number", ["4242424242424242", "4000002500003155"])
def test_a_card_that_pays_is_kept_where_that_is_wanted(client: stripe.StripeClient, number: str) -> None:
    customer = client.v1.customers.create({"email": "anna@example.test"})
    wish: Any = {
        **WISH,
        "customer": customer.id,
        "payment_intent_data": {"setup_future_usage": "off_session"},
    }
    session = client.v1.checkout.sessions.create(wish)
    assert session.url
    assert "You allow us to charge your card" in requests.get(session.url, timeout=5).text
    if "Your bank asks" in enter(session.url, number).text:
        requests.post(session.url, data={"authentication": "complete"}, allow_redirects=False, timeout=5)
    [method] = client.v1.customers.payment_methods.list(customer.id, {"type": "card"}).data
    assert kinds(client, method.id) == ["payment_method.attached"]
    assert charge(client, customer.id, method.id).status == "succeeded"


def test_a_card_that_pays_is_not_kept_otherwise(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": "anna@example.test"})
    session = client.v1.checkout.sessions.create({**WISH, "customer": customer.id})
    assert session.url
    enter(session.url, "4242424242424242")
    assert client.v1.customers.payment_methods.list(customer.id).data == []


@pytest.mark.parametrize(
    ("expiry", "says"), [("13 / 40", "is incomplete"), ("", "is incomplete"), ("01 / 20", "in the past")]
)
def test_a_date_that_is_over_is_refused(client: stripe.StripeClient, expiry: str, says: str) -> None:
    session = client.v1.checkout.sessions.create({**WISH})
    assert session.url
    answer = enter(session.url, "4242424242424242", expiry=expiry)
    assert (answer.status_code, says in answer.text) == (402, True)


def test_the_date_that_was_entered_is_the_cards(client: stripe.StripeClient) -> None:
    session = client.v1.checkout.sessions.create({**WISH})
    assert session.url
    enter(session.url, "4242424242424242", expiry="3/2037")
    found = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.payment_method"]})
    assert isinstance(found.payment_intent, stripe.PaymentIntent)
    assert isinstance(found.payment_intent.payment_method, stripe.PaymentMethod)
    card = found.payment_intent.payment_method.card
    assert card
    assert (card.exp_month, card.exp_year) == (3, 2037)


def test_one_that_was_taken_off_is_never_used_again(client: stripe.StripeClient) -> None:
    customer, method = save_card(client, "4242424242424242")
    assert client.v1.payment_methods.detach(method).customer is None
    assert kinds(client, method) == ["payment_method.attached", "payment_method.detached"]
    with pytest.raises(stripe.InvalidRequestError, match="detachment is impossible"):
        client.v1.payment_methods.detach(method)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        charge(client, customer, method)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        client.v1.payment_methods.attach(method, {"customer": customer})


def test_a_card_is_changed_by_programs_and_by_its_bank(server: Server, client: stripe.StripeClient) -> None:
    customer, method = save_card(client, "4242424242424242")
    changed = client.v1.payment_methods.update(method, {"card": {"exp_month": 5, "exp_year": 2041}})
    assert changed.card
    assert (changed.card.exp_month, changed.card.last4) == (5, "4242")
    switch(server, "cards", {"method": method, "last4": "1881"})
    found = client.v1.payment_methods.retrieve(method).card
    assert found
    assert (found.exp_month, found.last4) == (5, "1881")
    assert kinds(client, method)[1:] == ["payment_method.updated", "payment_method.automatically_updated"]
    switch(server, "cards", {"method": method, "number": "4000000000009995"})
    with pytest.raises(stripe.CardError) as declined:
        charge(client, customer, method)
    assert declined.value.error
    assert declined.value.error.decline_code == "insufficient_funds"
    switch(server, "cards", {"method": method, "number": "4242424242424242"})
    assert charge(client, customer, method).status == "succeeded"


def test_an_address_that_is_none_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        client.v1.customers.create({"email": "anna@b\u00fccher.test"})
    assert error.value.code == "email_invalid"


def test_of_a_customer_that_was_deleted_it_remembers_that(client: stripe.StripeClient) -> None:
    customer, method = save_card(client, "4242424242424242")
    assert client.v1.customers.delete(customer).deleted
    assert client.v1.customers.retrieve(customer).deleted
    assert client.v1.payment_methods.retrieve(method).customer is None
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        client.v1.checkout.sessions.create({**WISH, "customer": customer})
    assert customer not in [each.id for each in client.v1.customers.list({"limit": 100}).data]


def test_what_a_page_says_is_what_it_was_given(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    session = client.v1.checkout.sessions.create(
        {
            "mode": "setup",
            "allowed_payment_method_types": ["card"],
            "customer": customer.id,
            "custom_text": {"submit": {"message": "Kept <b>for</b> renewals."}},
            "success_url": "https://panel.test/",
        }
    )
    assert session.url
    html = requests.get(session.url, timeout=5).text
    assert "Kept &lt;b&gt;for&lt;/b&gt; renewals." in html
    assert "Save your card" in html
    enter(session.url, "4242424242424242")
    assert client.v1.customers.retrieve(customer.id).email == "anna@example.test"


def test_charges_of_a_customer_are_listed(client: stripe.StripeClient) -> None:
    customer, method = save_card(client, "4242424242424242")
    made = charge(client, customer, method)
    listed = client.v1.payment_intents.list({"customer": customer, "created": {"gte": made.created}}).data
    assert [intent.id for intent in listed] == [made.id]
    with pytest.raises(stripe.InvalidRequestError, match="status of succeeded"):
        client.v1.payment_intents.cancel(made.id)
