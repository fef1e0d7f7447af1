"""The mails about an order: each is sent, to those who may order, with what they need to act."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail

from accounts import notices
from accounts.models import Notice, Role, User
from billing.models import Order
from tests.billing.conftest import fresh, pay


def sent(kind: str) -> mail.EmailMessage:
    """Deliver what is owed; the one mail of that kind that went to alice."""
    notice = Notice.objects.get(kind=kind)
    mail.outbox.clear()
    assert notices.deliver(notice.pk)
    return next(message for message in mail.outbox if "alice@example.test" in message.to)


@pytest.fixture(autouse=True)
def panel(settings: Any) -> None:
    settings.PANEL_URL = "https://panel.example"
    settings.PAYMENT_INSTRUCTIONS = "IBAN XX00 & <nothing else>"


def test_received(ordered: Callable[..., Order]) -> None:
    order = ordered()
    message = sent("order.received")
    assert order.number in message.subject
    assert f"https://panel.example/order/{order.number}/" in message.body
    assert "59.00 USD" in message.body


def test_question(in_review: Order, sam: User) -> None:
    in_review.ask_question('Whose domain is "x" & why <?>\nPlease.', by=sam)
    message = sent("order.question")
    assert 'Whose domain is "x" & why <?>\nPlease.' in message.body
    assert "why &lt;?&gt;" in message.alternatives[0][0]


def test_approved_says_how_to_pay(unpaid: Order) -> None:
    message = sent("order.approved")
    html = message.alternatives[0][0]
    assert "59.00 USD" in message.body
    assert "IBAN XX00 & <nothing else>" in message.body
    assert "IBAN XX00 &amp; &lt;nothing else&gt;" in html
    assert unpaid.number in message.body


def test_rejected(in_review: Order, sam: User) -> None:
    in_review.reject("No such street.", by=sam)
    message = sent("order.rejected")
    assert "No such street." in message.body
    assert "Nothing was paid" in message.body
    assert "https://panel.example/contact/" in message.body


def test_cancelled(unpaid: Order, alice: User, sam: User) -> None:
    pay(unpaid, "20.00", by=sam)
    fresh(unpaid).cancel(by=alice)
    message = sent("order.cancelled")
    assert unpaid.number in message.subject
    for text in (message.body, message.alternatives[0][0]):
        assert "20.00 USD had come in" in text
        assert "https://panel.example/order/" in text


def test_active(unpaid: Order, sam: User) -> None:
    pay(unpaid, "59.00", by=sam)
    assert f"https://panel.example/c/{unpaid.customer.username}/" in sent("order.active").body


def test_a_subject_is_one_line_of_plain_text(ordered: Callable[..., Order]) -> None:
    ordered()
    assert "&" not in sent("order.received").subject


def test_readers_get_none(in_review: Order, sam: User, bob: User, carol: User) -> None:
    in_review.customer.add_member(bob, Role.READER, by=None)
    in_review.customer.add_member(carol, Role.BILLING, by=None)
    fresh(in_review).reject("", by=sam)
    sent("order.rejected")
    assert sorted(address for message in mail.outbox for address in message.to) == [
        "alice@example.test",
        carol.email,
    ]
