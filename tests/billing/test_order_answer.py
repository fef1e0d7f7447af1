"""Answering a question of staff."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import AuditEntry, Role, User
from billing.models import Order
from tests.billing.conftest import fresh

AsPerson = Callable[[User], Client]


@pytest.fixture
def asked(in_review: Order, sam: User) -> Order:
    in_review.ask_question("Whose domain is it?", by=sam)
    return fresh(in_review)


def test_works(asked: Order, alice: User, as_: AsPerson) -> None:
    client = as_(alice)
    answer = client.post(f"/order/{asked.number}/answer/", {"text": "Mine.\r\nSince 2001 <b>"})
    assert (answer.status_code, answer["Location"]) == (302, asked.get_absolute_url())
    order = fresh(asked)
    assert order.status == "review"
    assert order.last_message.text == "Mine.\nSince 2001 <b>"
    assert AuditEntry.objects.filter(action="order.answer", by=alice).count() == 1
    assert "Since 2001 &lt;b&gt;" in client.get(answer["Location"]).content.decode()


def test_a_stranger_gets_404(asked: Order, mallory: User, as_: AsPerson) -> None:
    assert as_(mallory).post(f"/order/{asked.number}/answer/", {"text": "x"}).status_code == 404
    assert fresh(asked).status == "question"


def test_a_reader_gets_403_and_billing_may(asked: Order, bob: User, carol: User, as_: AsPerson) -> None:
    asked.customer.add_member(bob, Role.READER, by=None)
    asked.customer.add_member(carol, Role.BILLING, by=None)
    assert as_(bob).post(f"/order/{asked.number}/answer/", {"text": "x"}).status_code == 403
    assert fresh(asked).status == "question"
    assert as_(carol).post(f"/order/{asked.number}/answer/", {"text": "x"}).status_code == 302


def test_twice_is_harmless(asked: Order, alice: User, as_: AsPerson) -> None:
    client = as_(alice)
    for _ in range(2):
        assert client.post(f"/order/{asked.number}/answer/", {"text": "Mine."}).status_code == 302
    assert fresh(asked).messages.count() == 2


@pytest.mark.parametrize("text", ["", "   ", "x" * 65536, "nul\0", "bell\x07"])
def test_what_is_wrong_is_said_at_the_field(asked: Order, alice: User, as_: AsPerson, text: str) -> None:
    answer = as_(alice).post(f"/order/{asked.number}/answer/", {"text": text})
    assert answer.status_code == 422
    assert 'id="id_text_error"' in answer.content.decode()
    assert fresh(asked).status == "question"


def test_without_a_question_there_is_nothing_to_answer(in_review: Order, alice: User, as_: AsPerson) -> None:
    answer = as_(alice).post(f"/order/{in_review.number}/answer/", {"text": "Hello?"})
    assert answer.status_code == 409
    assert "no open question" in answer.content.decode()
    assert fresh(in_review).messages.count() == 0


def test_get_is_405(asked: Order, alice: User, as_: AsPerson) -> None:
    assert as_(alice).get(f"/order/{asked.number}/answer/").status_code == 405
