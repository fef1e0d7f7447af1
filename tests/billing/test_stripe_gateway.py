"""What we say to Stripe and what we make of its answers, over its wire protocol."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from stripe import WebhookSignature

from billing import stripe_cards
from billing import stripe_gateway as gateway
from billing.money import minor_digits
from billing.stripe_amounts import from_stripe, least, takes, to_stripe
from billing.stripe_calls import KEY_IN_USE, StripeGatewayError
from billing.stripe_gateway import SessionState
from tests.billing.stripe_desk import VISA, WEBHOOK_SECRET, StripeDesk, signed

pytestmark = pytest.mark.usefixtures("stripe")


def made(email: str = "anna@example.test", **changes: Any) -> str:
    wish: dict[str, Any] = {"key": str(uuid4()), "ours": "1", "description": "Acme (acme)", "email": email}
    return stripe_cards.make_customer(**wish | changes)


def opened(**changes: Any) -> gateway.CheckoutFacts:
    wish: dict[str, Any] = {
        "key": str(uuid4()), "ours": "c-1", "number": "AAAA-BBBB-CC", "title": "10 GB", "amount_minor": 5900,
        "currency": "USD", "customer": changes.get("customer") or made(), "return_url": "https://panel.test/order/AAAA-BBBB-CC/pay/",
    }  # fmt: skip
    return gateway.open_checkout(**wish | changes)


def paid(stripe: StripeDesk, **changes: Any) -> gateway.CheckoutFacts:
    facts = opened(**changes)
    stripe.pay(facts.url)
    return gateway.look_at_checkout(facts.session)


def test_a_page_is_opened_and_paid(stripe: StripeDesk) -> None:
    facts = opened()
    assert (facts.state, facts.ours, facts.amount_minor, facts.currency) == (
        SessionState.OPEN,
        "c-1",
        5900,
        "USD",
    )
    assert (facts.intent, facts.card) == ("", None)
    stripe.pay(facts.url)
    facts = gateway.look_at_checkout(facts.session)
    assert (facts.state, str(facts.card), facts.url) == (SessionState.PAID, "Visa 4242", "")
    assert facts.intent.startswith("pi_")


def test_twice_under_one_key_is_one_page(stripe: StripeDesk) -> None:
    customer = made()
    assert opened(key="one", customer=customer).session == opened(key="one", customer=customer).session


def test_brands_are_words(stripe: StripeDesk) -> None:
    session = paid(stripe).session
    for method in stripe.books.all("payment_method"):
        method["card"]["brand"] = "cartes_bancaires"
    assert str(gateway.look_at_checkout(session).card) == "Cartes bancaires 4242"


def test_a_page_that_was_paid_cannot_expire(stripe: StripeDesk) -> None:
    assert gateway.expire_checkout(opened().session).state == SessionState.EXPIRED
    assert gateway.expire_checkout(paid(stripe).session).state == SessionState.PAID


@pytest.mark.parametrize(
    ("currency", "amount"),
    [("JPY", 5900), ("ISK", 590_000), ("USD", 5900), ("XAF", 59), ("PYG", 59), ("UGX", 5900), ("KWD", 5900)],
)
def test_amounts_are_those_that_stripe_counts_in(stripe: StripeDesk, currency: str, amount: int) -> None:
    facts = opened(currency=currency)
    assert stripe.sessions()[0]["amount_total"] == amount
    assert (facts.amount_minor, facts.currency) == (5900, currency)


ZERO = [
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "JPY",
    "KMF",
    "KRW",
    "MGA",
    "PYG",
    "RWF",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
]


@pytest.mark.parametrize("currency", [*ZERO, "UGX", "ISK", "USD", "BHD", "JOD", "KWD", "OMR", "TND"])
def test_an_amount_is_the_same_there_and_back(currency: str) -> None:
    """59 whole units of it, however many digits we and Stripe show of them."""
    minor = 59 * 10 ** minor_digits(currency)
    digits = 0 if currency in ZERO else 3 if minor_digits(currency) == 3 else 2
    assert to_stripe(minor, currency) == 59 * 10**digits
    assert from_stripe(to_stripe(minor, currency), currency) == minor


@pytest.mark.parametrize(("minor", "currency"), [(5901, "XAF"), (5950, "UGX"), (5901, "KWD"), (0, "USD")])
def test_an_odd_amount_is_not_for_cards(minor: int, currency: str) -> None:
    assert not takes(minor, currency)


@pytest.mark.parametrize(("least_minor", "currency"), [(50, "USD"), (30, "GBP"), (50, "JPY"), (17500, "HUF")])
def test_cents_are_not_for_cards(stripe: StripeDesk, least_minor: int, currency: str) -> None:
    assert takes(least_minor, currency)
    opened(amount_minor=least_minor, currency=currency)
    assert least(currency) == least_minor
    assert not takes(least_minor - 1, currency)
    with pytest.raises(StripeGatewayError, match="amount_too_small") as error:
        opened(amount_minor=least_minor - 1, currency=currency)
    assert not error.value.retry


def test_an_odd_refund_is_refused_like_any_other(stripe: StripeDesk) -> None:
    with pytest.raises(StripeGatewayError, match="no such amount") as error:
        gateway.send_refund(key="odd", ours="r-1", intent="pi_1", amount_minor=5901, currency="KWD")
    assert not error.value.retry


def test_a_refund_is_sent_and_found(stripe: StripeDesk) -> None:
    intent = paid(stripe).intent
    assert gateway.find_refund(intent=intent, ours="r-1") is None
    wish: dict[str, Any] = {
        "key": intent,
        "ours": "r-1",
        "intent": intent,
        "amount_minor": 900,
        "currency": "USD",
    }
    sent = gateway.send_refund(**wish)
    assert gateway.send_refund(**wish) == sent
    assert gateway.find_refund(intent=intent, ours="r-1") == gateway.look_at_refund(sent.refund) == sent
    assert (sent.failed, sent.done, sent.intent, sent.amount_minor) == (False, True, intent, 900)
    assert stripe.kept_minor == 5000


@pytest.mark.parametrize(
    ("fault", "retry", "spent"),
    [
        ("lost", True, False),
        ("unreached", True, False),
        ("429", True, False),
        ("409", True, False),
        ("500", True, True),
    ],
)
def test_what_a_fault_means(stripe: StripeDesk, fault: str, retry: bool, spent: bool) -> None:
    stripe.fail("POST /v1/checkout/sessions", fault)
    with pytest.raises(StripeGatewayError) as error:
        opened()
    assert (error.value.retry, error.value.spent) == (retry, spent)


def test_a_call_whose_twin_is_under_way_is_known_as_such(stripe: StripeDesk, settings: Any) -> None:
    """The library leaves out the code of a 409."""
    settings.STRIPE_DEADLINE = 20
    stripe.fail("POST /v1/checkout/sessions", "slow", seconds=1.5)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(opened, key="twin")
        while "twin" not in stripe.server.replies.under_way:
            time.sleep(0.01)
        with pytest.raises(StripeGatewayError) as error:
            opened(key="twin")
        assert first.result()
    assert error.value.code == KEY_IN_USE


def test_no_call_takes_longer_than_its_deadline(stripe: StripeDesk, settings: Any) -> None:
    settings.STRIPE_DEADLINE = 0.3
    stripe.fail("POST /v1/checkout/sessions", "slow", seconds=3)
    began = time.monotonic()
    with pytest.raises(StripeGatewayError, match=r"No complete answer within 0\.3 s"):
        opened()
    assert time.monotonic() - began < 2.5  # of three


def test_a_refused_call_is_not_made_again(stripe: StripeDesk) -> None:
    with pytest.raises(StripeGatewayError, match="resource_missing") as error:
        gateway.look_at_checkout("cs_test_none")
    assert (error.value.retry, error.value.code) == (False, "resource_missing")


def test_a_refused_key_may_be_mended(settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_of_nobody"
    with pytest.raises(StripeGatewayError, match="refuses our key") as error:
        opened()
    assert error.value.retry


def test_an_error_tells_nothing_of_a_person() -> None:
    with pytest.raises(StripeGatewayError) as error:
        made("anna@b\u00fccher.test")
    assert "anna" not in str(error.value)
    assert str(error.value) == "Stripe refused the call: email_invalid."


def test_an_event_is_taken_from_stripe_alone(stripe: StripeDesk) -> None:
    paid(stripe)
    event = stripe.events()[-1]
    body, signature = signed(event)
    facts = gateway.read_event(body.encode(), signature)
    assert (facts.event, facts.kind) == (event["id"], "checkout.session.completed")
    assert facts.about == stripe.sessions()[0]["id"]


@pytest.mark.parametrize("minutes", [-6, 6, -60 * 24 * 3])
def test_an_event_of_another_time_is_not_taken(stripe: StripeDesk, minutes: int) -> None:
    opened_at = int(time.time()) + minutes * 60
    stripe.pay(opened().url, VISA)
    body, signature = signed(stripe.events()[-1], at=opened_at)
    with pytest.raises(gateway.ForgedEvent):
        gateway.read_event(body.encode(), signature)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"id": 1, "type": "a", "data": {"object": {}}}',
        '{"id": "evt_1", "type": "a b", "data": {"object": {}}}',
        '{"id": "evt_1", "type": "a", "data": null}',
        '{"id": "evt_1\\n", "type": "a", "data": {"object": {}}}',
    ],
)
def test_what_is_no_event_is_not_taken(body: str) -> None:
    with pytest.raises(gateway.ForgedEvent):
        gateway.read_event(body.encode(), WebhookSignature.generate_signature_header(body, WEBHOOK_SECRET))


@pytest.mark.parametrize(
    "signature", ["", "t=1", "v1=abc", "t=x,v1=abc", "t=1,v1=", "nonsense", "t=\u0661,v1=a"]
)
def test_a_forged_signature_is_not_taken(stripe: StripeDesk, signature: str) -> None:
    stripe.pay(opened().url)
    body, _ = signed(stripe.events()[-1])
    with pytest.raises(gateway.ForgedEvent):
        gateway.read_event(body.encode(), signature)
    with pytest.raises(gateway.ForgedEvent):
        gateway.read_event(b"\xff" + body.encode(), signed(stripe.events()[-1])[1])
    with pytest.raises(gateway.ForgedEvent):
        gateway.read_event(body.encode(), signed(stripe.events()[-1], secret="whsec_other")[1])


def test_a_signature_with_two_times_is_not_taken(stripe: StripeDesk) -> None:
    """An old event with a new time behind its own."""
    stripe.pay(opened().url)
    body, signature = signed(stripe.events()[-1], at=int(time.time()) - 3600)
    with pytest.raises(gateway.ForgedEvent):
        gateway.read_event(body.encode(), f"{signature},t={int(time.time())}")


def test_a_payment_that_is_under_way_leaves_the_page_open(stripe: StripeDesk) -> None:
    facts = paid(stripe)
    stripe.books.objects[facts.session]["payment_status"] = "unpaid"
    assert gateway.look_at_checkout(facts.session).state == SessionState.OPEN


def test_an_empty_balance_is_tried_again(stripe: StripeDesk) -> None:
    intent = paid(stripe).intent
    stripe.fail("POST /v1/refunds", "refused", code="balance_insufficient")
    with pytest.raises(StripeGatewayError) as error:
        gateway.send_refund(key="empty", ours="r-1", intent=intent, amount_minor=900, currency="USD")
    assert (error.value.retry, error.value.spent) == (True, True)
