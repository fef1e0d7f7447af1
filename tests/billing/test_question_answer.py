"""Answering a question of staff by the link in its mail: once, without signing in, and nothing else."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import notices, privacy
from accounts.models import AuditEntry, Notice, User
from billing.models import Order, OrderConflict, QuestionLink
from tests.billing.conftest import fresh

AsPerson = Callable[[User], Client]


@pytest.fixture
def asked(in_review: Order, sam: User) -> Order:
    in_review.ask_question("Whose domain is it? <b>", by=sam)
    return fresh(in_review)


def path_of(order: Order) -> str:
    return f"/order/question/{QuestionLink.objects.get(question__order=order).secret}/"


def mailed(order: Order) -> str:
    """The path that the mail of the question leads to."""
    notice = Notice.objects.get(kind="order.question")
    assert notices.deliver(notice.pk)
    [message] = [message for message in mail.outbox if "alice@example.test" in message.to]
    found = set(re.findall(r"/order/question/[0-9a-f]{64}/", message.body))
    assert found == set(re.findall(r"/order/question/[0-9a-f]{64}/", message.alternatives[0][0]))
    [path] = found
    return path


def test_works(asked: Order, client: Client, sam: User, as_: AsPerson) -> None:
    path = mailed(asked)
    page = client.get(path)
    html = page.content.decode()
    assert 'data-status="question"' in html
    assert "Whose domain is it? &lt;b&gt;" in html
    assert "no-store" in page["Cache-Control"]
    answer = client.post(path, {"text": "Mine.\r\nSince 2001"})
    assert (answer.status_code, answer["Location"]) == (302, path)
    order = fresh(asked)
    assert order.status == "review"
    assert (order.last_message.text, order.last_message.by) == ("Mine.\nSince 2001", None)
    entry = AuditEntry.objects.get(action="order.answer")
    assert (entry.by, entry.after) == (None, {"through": "the link in the mail"})
    assert "link in the mail" in as_(sam).get(f"/admin/review/{order.number}/").content.decode()


def test_it_signs_nobody_in_and_shows_nothing_else(asked: Order, client: Client) -> None:
    html = client.get(path_of(asked)).content.decode()
    assert "_auth_user_id" not in client.session
    for detail in (asked.street, asked.name, asked.phone, asked.email, asked.customer.username):
        assert detail not in html
    assert client.get(asked.get_absolute_url()).status_code == 302
    assert client.post(f"/order/{asked.number}/answer/", {"text": "x"})["Location"].startswith(
        "/accounts/login"
    )


def test_an_unknown_or_damaged_link_is_404(asked: Order, client: Client) -> None:
    good = path_of(asked)
    for path in (
        good[:-2] + "/",
        "/order/question/no-such/",
        good.replace("/order/question/", "/order/question/x"),
    ):
        assert client.get(path).status_code == client.post(path, {"text": "x"}).status_code == 404
    assert fresh(asked).status == "question"


def test_twice_is_harmless_and_another_answer_is_refused(asked: Order, client: Client) -> None:
    path = path_of(asked)
    for _ in range(2):
        assert client.post(path, {"text": "Mine."}).status_code == 302
    second = client.post(path, {"text": "No, hers."})
    html = second.content.decode()
    assert second.status_code == 409
    assert 'data-status="answered"' in html
    assert "works once" in html
    assert f'href="{asked.get_absolute_url()}"' in html
    assert "Mine." not in html
    assert "Whose domain" not in html
    assert fresh(asked).messages.count() == 2


def test_it_expires(asked: Order, client: Client) -> None:
    path = path_of(asked)
    QuestionLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    answer = client.post(path, {"text": "Mine."})
    assert answer.status_code == 409
    for page in (answer, client.get(path)):
        assert 'data-status="expired"' in page.content.decode()
        assert "Sign in and see the order" in page.content.decode()
        assert "<textarea" not in page.content.decode()
    assert fresh(asked).status == "question"


def test_it_is_good_for_two_weeks(asked: Order) -> None:
    left = QuestionLink.objects.get().expires_at - timezone.now()
    assert timedelta(days=13, hours=23) < left <= timedelta(days=14)


@pytest.mark.parametrize("end", ["cancel", "reject", "approve"])
def test_it_ends_with_what_it_asks_about(
    asked: Order, client: Client, alice: User, sam: User, end: str
) -> None:
    path = path_of(asked)
    if end == "cancel":
        asked.cancel(by=alice)
    else:
        getattr(asked, end)("", by=sam, seen=asked.seen)
    answer = client.post(path, {"text": "Mine."})
    assert answer.status_code == 409
    assert 'data-status="over"' in answer.content.decode()


def test_it_is_of_one_question(asked: Order, client: Client, alice: User, sam: User) -> None:
    first = path_of(asked)
    asked.answer_question("Mine.", by=alice)
    fresh(asked).ask_question("And since when?", by=sam, seen=2)
    assert 'data-status="answered"' in client.get(first).content.decode()
    assert client.post(first, {"text": "Other"}).status_code == 409
    order = fresh(asked)
    assert order.status == "question"
    with pytest.raises(OrderConflict):
        order.answer_question("Other", by=None, link=order.messages.first().link)


@pytest.mark.parametrize("text", ["", "   ", "x" * 65536, "nul\0", "bell\x07"])
def test_what_is_wrong_is_said_at_the_field(asked: Order, client: Client, text: str) -> None:
    answer = client.post(path_of(asked), {"text": text})
    assert answer.status_code == 422
    assert 'id="id_text_error"' in answer.content.decode()
    assert fresh(asked).status == "question"


def test_the_secret_is_stored_nowhere_and_the_same_mail_has_the_same_link(asked: Order) -> None:
    link = QuestionLink.objects.get()
    assert link.secret not in (link.nonce, link.secret_hash, str(link.pk))
    assert link.secret == QuestionLink.objects.get().secret
    assert mailed(asked) == path_of(asked)


def test_a_mail_of_a_question_without_a_link_leads_to_the_order(asked: Order) -> None:
    QuestionLink.objects.all().delete()
    notices.deliver(Notice.objects.get(kind="order.question").pk)
    assert asked.get_absolute_url() in mail.outbox[-1].body


def test_too_many_at_once_wait(asked: Order, client: Client) -> None:
    path = path_of(asked)
    codes = [client.post(path, {"text": ""}).status_code for _ in range(31)]
    assert codes == [422] * 30 + [429]


def test_an_answer_by_link_is_handed_out_to_who_placed_the_order(
    asked: Order, client: Client, alice: User, mallory: User
) -> None:
    client.post(path_of(asked), {"text": "Told by link"})
    for person in (alice, mallory):
        told = "".join(dict(privacy.export_person(person))["billing"])
        assert ("Told by link" in told) == (person == alice)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_many_at_the_same_moment_give_one_answer(asked: Order, quiet_broker: None) -> None:
    path = path_of(asked)

    def send(number: int) -> int:
        try:
            return Client().post(path, {"text": f"Answer {number}"}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        codes = sorted(pool.map(send, range(4)))
    assert codes == [302, 409, 409, 409]
    assert fresh(asked).messages.count() == 2


def test_asked_once_more_the_earlier_link_takes_the_answer_too(
    asked: Order, client: Client, sam: User
) -> None:
    first = path_of(asked)
    asked.ask_question("And since when?", by=sam, seen=1)
    links = [f"/order/question/{link.secret}/" for link in QuestionLink.objects.all()]
    for path in links:
        assert 'data-status="question"' in client.get(path).content.decode()
    assert client.post(first, {"text": "Mine, since 2001"}).status_code == 302
    assert fresh(asked).status == "review"
    for path in links:
        assert 'data-status="answered"' in client.get(path).content.decode()
