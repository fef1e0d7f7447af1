"""Looking an order over before it is sent: the way a person takes, while a plain POST still places it at once."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Customer, User
from billing.address_labels import GENERAL, LABELS
from billing.countries import COUNTRIES
from billing.models import Order, OrderDraft, Plan
from billing.phone_hint import phone_hint, read_phone
from deploy.fraudrecord import Server

AsPerson = Callable[[User], Client]
REVIEW = "/order/?step=review"


def hidden_fields(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)"(?: value="([^"]*)")?', page)
    return {name: html.unescape(value) for name, value in found if name != "csrfmiddlewaretoken"}


def test_works(as_: AsPerson, mallory: User, fields: dict[str, str], fraudrecord: Server) -> None:
    client = as_(mallory)
    sent = fields | {"username": "wished", "domain": "New.Example", "company": "A & <B>", "step": "review"}
    answer = client.post("/order/", sent)
    assert (answer.status_code, answer["Location"]) == (302, REVIEW)
    assert Order.objects.count() == 0
    page = client.get(REVIEW).content.decode()
    shown = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for text in (
        "10 GB",
        "59.00 USD a year",
        "wished",
        "new.example",
        "mallory@example.test",
        "Anna Example",
    ):
        assert text in shown
    for text in (
        "A &amp; &lt;B&gt;",
        "Germany",
        "+49 30 1234567",
        "Federal state",
        "fraudrecord.com as hashes",
    ):
        assert (text in shown) == (text != "Federal state")  # nothing was entered there
    placed = client.post("/order/", hidden_fields(page))
    order = Order.objects.get()
    assert (placed.status_code, placed["Location"]) == (302, order.get_absolute_url())
    assert (order.company, order.domain, order.customer.username) == ("A & <B>", "new.example", "wished")
    assert order.began_at is None
    assert not OrderDraft.objects.exists()


def test_twice_is_one_order(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    client = as_(mallory)
    client.post("/order/", fields | {"step": "review"})
    seen = hidden_fields(client.get(REVIEW).content.decode())
    assert seen["submission"]
    assert client.post("/order/", seen)["Location"] == client.post("/order/", seen)["Location"]
    assert Order.objects.count() == 1


def test_what_was_shown_is_what_is_ordered(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    client = as_(mallory)
    client.post("/order/", fields | {"step": "review"})
    seen = hidden_fields(client.get(REVIEW).content.decode())
    as_(mallory).post("/order/", fields | {"step": "review", "plan": "100gb"})  # on another device
    client.post("/order/", seen)
    assert Order.objects.get().plan.slug == "10gb"


def test_the_way_back_keeps_everything(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    client = as_(mallory)
    client.post("/order/", fields | {"step": "review", "plan": "25gb"})
    seen = hidden_fields(client.get(REVIEW).content.decode())
    answer = client.post("/order/", seen | {"step": "change"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert 'value="1 Long Street"' in page
    assert re.search(r'value="25gb"[^>]* checked', page)
    assert re.search(r'name="terms"[^>]* checked', page)
    assert "form-errors" not in page


@pytest.mark.parametrize("wrong", [{"street": ""}, {"username": "acme"}, {"phone": "1"}, {"terms": ""}])
def test_what_is_wrong_is_said_before_the_review(
    as_: AsPerson, mallory: User, acme: Customer, fields: dict[str, str], wrong: dict[str, str]
) -> None:
    answer = as_(mallory).post("/order/", fields | wrong | {"step": "review"})
    assert answer.status_code == 422
    assert f'id="id_{next(iter(wrong))}_error"' in answer.content.decode()
    assert not OrderDraft.objects.exists()


def test_a_review_without_a_whole_draft_is_the_form(
    as_: AsPerson, mallory: User, fields: dict[str, str]
) -> None:
    client = as_(mallory)
    assert "Review order" in client.get(REVIEW).content.decode()
    client.post("/order/", fields | {"step": "review"})
    Plan.objects.filter(slug="10gb").update(is_open=False)  # meanwhile
    page = client.get(REVIEW).content.decode()
    assert "Place order" not in page
    assert 'value="1 Long Street"' in page


def test_a_visitor_reviews_after_signing_in(client: Client, alice: User, fields: dict[str, str]) -> None:
    answer = client.post("/order/", fields | {"step": "review"})
    assert answer["Location"] == "/accounts/signup/?next=%2Forder%2F%3Fstep%3Dreview"
    assert "Place order" not in client.get(REVIEW).content.decode()
    client.force_login(alice, "allauth.account.auth_backends.AuthenticationBackend")
    assert "Place order" in client.get(REVIEW).content.decode()


@pytest.mark.parametrize(
    ("country", "region", "postcode"),
    [("", *GENERAL[1:]), ("US", "State", "ZIP code"), ("IE", "County", "Eircode"), ("FJ", *GENERAL[1:])],
)
def test_the_fields_are_named_as_in_the_country(
    client: Client, db: None, fields: dict[str, str], country: str, region: str, postcode: str
) -> None:
    answer = client.post("/order/", fields | {"step": "change", "country": country, "street": "9 Kept Road"})
    page = " ".join(answer.content.decode().split())
    assert answer.status_code == 200
    assert f'<label for="id_region"> {region} <span' in page
    assert f'<label for="id_postcode"> {postcode} <' in page
    assert 'value="9 Kept Road"' in page
    assert "form-errors" not in page


def test_labels_are_of_countries_that_exist() -> None:
    assert set(LABELS) <= set(dict(COUNTRIES))
    assert all(all(labels) for labels in LABELS.values())


@pytest.mark.parametrize(
    ("phone", "country", "read", "hint"),
    [
        ("030 1234567", "DE", "+49 30 1234567", ""),
        ("(541) 555-0100", "US", "+1 541-555-0100", ""),
        ("+44 113 496 0000", "US", "+44 113 496 0000", ""),
        ("+1 200 300", "DE", "", "lack digits"),
        ("call me", "DE", "", "do not recognise"),
        ("\u0661" * 32, "EG", "", "Look at it once more"),
        ("123 456", "XX", "", "Look at it once more"),
        ("", "DE", "", ""),
    ],
)
def test_what_is_made_of_a_phone_number(phone: str, country: str, read: str, hint: str) -> None:
    assert read_phone(phone, country) == read
    assert hint in phone_hint(phone, country)
    assert bool(hint) == bool(phone_hint(phone, country))


def test_an_odd_phone_number_is_hinted_at_and_taken(
    as_: AsPerson, mallory: User, fields: dict[str, str]
) -> None:
    client = as_(mallory)
    client.post("/order/", fields | {"phone": "call me <b>", "step": "review"})
    page = client.get(REVIEW).content.decode()
    assert "do not recognise it" in page
    assert "<b>" not in page
    client.post("/order/", hidden_fields(page) | {"phone": "call me"})
    assert Order.objects.get().phone == "call me"


def test_few_queries(
    as_: AsPerson, mallory: User, fields: dict[str, str], django_assert_max_num_queries: Any
) -> None:
    client = as_(mallory)
    client.post("/order/", fields | {"step": "review"})
    client.get(REVIEW)
    with django_assert_max_num_queries(6):
        client.get(REVIEW)
    with django_assert_max_num_queries(6):
        client.get("/order/")
