"""The page of an order at the review desk: notes, canned texts, who else is there, refunds; none of it is for customers."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import privacy
from accounts.models import AuditEntry, User
from billing import presence, screening
from billing.models import CannedText, Order, Refund, ReviewPresence
from tests.billing.conftest import fresh, pay
from tests.test_census import order_of

AsPerson = Callable[[User], Client]


def page(order: Order) -> str:
    return f"/admin/review/{order.number}/"


def test_earlier_orders_are_of_this_person_alone(
    in_review: Order, ordered: Callable[..., Order], mallory: User, other: Any, sam: User, as_: AsPerson
) -> None:
    mine, hers = ordered(), order_of(other, mallory)
    html = as_(sam).get(page(in_review)).content.decode()
    assert mine.number in html
    assert hers.number not in html


# Notes


def test_a_note_is_for_staff_alone(in_review: Order, alice: User, sam: User, as_: AsPerson) -> None:
    client = as_(sam)
    answer = client.post(page(in_review) + "note/", {"text": "Sounds drunk\non the phone"})
    assert (answer.status_code, answer["Location"]) == (302, page(in_review))
    html = client.get(page(in_review)).content.decode()
    assert "Sounds drunk" in html
    assert "Sam Staff" in html
    entry = AuditEntry.objects.get(action="review.note")
    assert (entry.by, entry.subject, entry.customer, entry.after) == (sam, in_review.number, None, None)
    for path in (f"/order/{in_review.number}/", f"/c/{in_review.customer.username}/audit/"):
        html = as_(alice).get(path).content.decode()
        assert "drunk" not in html
        assert "review.note" not in html
    assert "drunk" not in str(privacy.export_person(alice))


def test_the_same_note_again_changes_nothing(in_review: Order, sam: User, as_: AsPerson) -> None:
    for _ in range(2):
        as_(sam).post(page(in_review) + "note/", {"text": "Called, no answer"})
    assert in_review.notes.count() == AuditEntry.objects.filter(action="review.note").count() == 1


@pytest.mark.parametrize("text", ["", "   ", "nul\0", "x" * 2001])
def test_a_note_that_is_wrong(in_review: Order, sam: User, as_: AsPerson, text: str) -> None:
    answer = as_(sam).post(page(in_review) + "note/", {"text": text})
    assert answer.status_code in (400, 422)
    assert in_review.notes.count() == 0


def test_erasing_a_person_erases_what_is_noted(in_review: Order, alice: User, sam: User) -> None:
    in_review.add_note("Alice Able of Leeds", by=sam)
    privacy.erase_person(alice)
    assert in_review.notes.get().text == "erased"


# Canned texts


def test_a_canned_text_is_inserted_and_nothing_decided(in_review: Order, sam: User, as_: AsPerson) -> None:
    Order.objects.filter(pk=in_review.pk).update(name="Anna {number} <b>", domain="")
    canned = CannedText.objects.create(title="T", kind="ask", text="Dear {name}: {number}, {domain}?")
    answer = as_(sam).post(
        page(in_review), {"insert": canned.pk, "decision": "approve", "text": "Before", "seen": "0"}
    )
    html = answer.content.decode()
    assert answer.status_code == 200
    assert f"Before\n\nDear Anna {{number}} &lt;b&gt;: {in_review.number}, your domain?" in html
    assert 'value="ask"' in html
    assert "autofocus" in html
    assert fresh(in_review).status == "review"


@pytest.mark.parametrize("key", ["0", "999999", "x", "9" * 30, "-1"])
def test_no_such_canned_text(in_review: Order, sam: User, as_: AsPerson, key: str) -> None:
    assert as_(sam).post(page(in_review), {"insert": key}).status_code == 422
    assert fresh(in_review).status == "review"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Dear {nome}", "There is no placeholder {nome}"),
        ("Dear {name", "A brace stands alone"),
        ("}{", "A brace stands alone"),
        ("{}", "There is no placeholder {}"),
        ("{ name }", "There is no placeholder { name }"),
        ("{name.__class__}", "There is no placeholder"),
        ("{{name}}", "A brace stands alone"),
    ],
)
def test_placeholders_are_checked_when_a_text_is_saved(
    staff_of: Callable[[str], User], as_: AsPerson, text: str, problem: str
) -> None:
    client = as_(staff_of("manager"))
    answer = client.post("/admin/billing/cannedtext/add/", {"title": "T", "kind": "ask", "text": text})
    assert problem in answer.content.decode()
    assert not CannedText.objects.filter(title="T").exists()


def test_managers_edit_canned_texts_and_that_is_recorded(
    staff_of: Callable[[str], User], as_: AsPerson
) -> None:
    client = as_(staff_of("manager"))
    new = {"title": "T", "kind": "ask", "text": "Dear {name}"}
    assert client.post("/admin/billing/cannedtext/add/", new).status_code == 302
    made = CannedText.objects.get(title="T")
    client.post(f"/admin/billing/cannedtext/{made.pk}/delete/", {"post": "yes"})
    actions = AuditEntry.objects.filter(subject="T").order_by("at").values_list("action", flat=True)
    assert list(actions) == ["cannedtext.add", "cannedtext.delete"]
    assert as_(staff_of("reviewer")).get("/admin/billing/cannedtext/add/").status_code == 403


# Who else is there


def test_two_people_see_each_other(
    in_review: Order, sam: User, staff_of: Callable[[str], User], as_: AsPerson
) -> None:
    one, two = as_(sam), as_(staff_of("reviewer"))
    assert "data-other" not in one.get(page(in_review)).content.decode()
    assert "Sam Staff" in two.get(page(in_review)).content.decode()
    html = one.get(page(in_review) + "presence/").content.decode()
    assert "Some Reviewer" in html
    assert "is at this order too" in html
    ReviewPresence.objects.update(seen_at=timezone.now() - timedelta(minutes=2))
    assert "within the last five minutes" in one.get(page(in_review) + "presence/").content.decode()
    ReviewPresence.objects.update(seen_at=timezone.now() - timedelta(minutes=6))
    assert "data-other" not in one.get(page(in_review) + "presence/").content.decode()


def test_nothing_is_sent_that_the_page_shows_already(
    in_review: Order, sam: User, staff_of: Callable[[str], User], as_: AsPerson
) -> None:
    client = as_(sam)
    shown = presence.shown_at(in_review, sam)
    path = f"{page(in_review)}presence/?known={shown.digest}&since={shown.mark}"
    assert client.get(path).status_code == 204
    fresh(in_review).approve("", by=staff_of("reviewer"))
    html = client.get(path).content.decode()
    assert "the order is unpaid now" in html


def test_who_was_there_is_forgotten(in_review: Order, sam: User) -> None:
    presence.be_here(in_review, sam)
    presence.be_here(in_review, sam)
    assert ReviewPresence.objects.count() == 1
    assert presence.forget() == 0
    ReviewPresence.objects.update(seen_at=timezone.now() - timedelta(days=1, seconds=1))
    assert presence.forget() == 1


# Refunds


@pytest.mark.parametrize("paid", ["20.00", "58.99"])
def test_a_refund_is_owed_and_recorded_once(
    unpaid: Order, alice: User, sam: User, as_: AsPerson, paid: str
) -> None:
    pay(unpaid, paid, by=sam)
    fresh(unpaid).cancel(by=alice)
    entry = AuditEntry.objects.get(action="order.cancel")
    assert entry.after == {"refund_owed": f"{paid} USD"}
    client = as_(sam)
    assert "data-refund=" in client.get(page(unpaid)).content.decode()
    for _ in range(2):
        assert client.post(page(unpaid) + "refund/", {"reference": "Back 7"}).status_code == 302
    assert Refund.objects.get().amount_minor == int(paid.replace(".", ""))
    assert AuditEntry.objects.filter(action="refund.record").count() == 1
    html = client.get(page(unpaid)).content.decode()
    assert "data-refund=" not in html
    assert f"{paid} USD sent back" in html


def test_a_paid_order_that_a_signal_held_is_owed_back_when_it_is_cancelled(
    ordered: Callable[..., Order], in_review: Order, alice: User, sam: User, as_: AsPerson, fraudrecord: Any
) -> None:
    order = ordered()
    screening.check_order(order.pk)
    assert fresh(order).status == "unpaid"
    in_review.approve("", by=sam)
    pay(fresh(in_review), "1.00", by=sam, reference="DE89 3704 0044")
    fresh(in_review).decision.delete()
    fresh(in_review).reject("", by=sam)
    pay(fresh(order), "59.00", by=sam, reference="DE89 3704 0044")
    assert fresh(order).status == "review"
    fresh(order).cancel(by=alice)
    assert fresh(order).refund_owed == "59.00 USD"
    assert order.number in as_(sam).get("/admin/review/?status=refund").content.decode()


def test_no_refund_without_need(in_review: Order, sam: User, as_: AsPerson) -> None:
    answer = as_(sam).post(page(in_review) + "refund/", {"reference": "x"})
    assert answer.status_code == 409
    assert not Refund.objects.exists()


# Rights


@pytest.mark.parametrize(
    ("role", "sees", "sees_not"),
    [
        ("reviewer", ["id_decision", "/note/"], ["/payment/", "/refund/"]),
        ("support", ["/note/"], ["id_decision", "/payment/", "/report/"]),
        ("manager", ["id_decision", "/note/", "cannedtext"], []),
    ],
)
def test_no_role_is_offered_what_it_may_not_do(
    in_review: Order,
    staff_of: Callable[[str], User],
    as_: AsPerson,
    role: str,
    sees: list[str],
    sees_not: list[str],
) -> None:
    html = as_(staff_of(role)).get(page(in_review)).content.decode()
    assert [text for text in sees if text not in html] == []
    assert [text for text in sees_not if text in html] == []


def test_few_queries_whatever_is_noted(
    in_review: Order, sam: User, as_: AsPerson, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        in_review.add_note(f"Note {number}", by=sam)
    client = as_(sam)
    client.get(page(in_review))
    with django_assert_max_num_queries(12):
        client.get(page(in_review))
