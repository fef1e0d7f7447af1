"""Placing an order: by somebody signed in, by a visitor on the way, twice, and with every kind of rubbish."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client
from kombu.exceptions import OperationalError

from accounts.models import AuditEntry, Customer, Notice, User
from billing.models import Order, Plan
from billing.screening import due_checks
from mxpanel.celery import HintTask
from tests.conftest import PASSWORD

AsPerson = Callable[[User], Client]


def hidden(html: str, name: str) -> str:
    return re.search(rf'name="{name}"[^>]* value="([^"]+)"', html)[1]


def test_works(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    client = as_(mallory)
    answer = client.post("/order/", fields | {"domain": "WWW.Müller.Example.", "username": "Muell_1"})
    order = Order.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/order/{order.number}/")
    assert re.fullmatch("[A-Za-z0-9-]+", order.number)
    assert (order.amount_minor, order.currency, order.domain) == (5900, "USD", "www.xn--mller-kva.example")
    assert (order.client_address, order.email) == ("127.0.0.1", mallory.email)
    assert order.customer.username == "muell_1"
    assert order.customer.memberships.get().role == "owner"
    assert order.status == "checking"
    assert AuditEntry.objects.filter(action="order.place", by=mallory, address="127.0.0.1").count() == 1
    assert Notice.objects.get(kind="order.received").subject_id == str(order.pk)
    page = client.get(answer["Location"])
    assert page.status_code == 200
    assert page.content.count(b"data-status=") == 1
    assert b'data-status="checking"' in page.content
    assert b'href="/c/muell_1/"' in page.content


def test_plans_are_seeded(db: None) -> None:
    assert set(Plan.objects.values_list("slug", flat=True)) >= {
        "10gb",
        "25gb",
        "50gb",
        "100gb",
        "reseller100gb",
    }
    assert Plan.objects.get(slug="10gb").yearly_minor == 5900


def test_each_plan_says_what_is_in_it_and_what_it_costs_by_each_period(client: Client, db: None) -> None:
    Plan.objects.filter(slug="10gb").update(domains=1, mailboxes=5)
    Plan.objects.filter(slug="25gb").update(monthly_minor=None)
    html = client.get("/order/").content.decode()
    cards = {
        slug: " ".join(card.split())
        for slug, card in re.findall(r'type="radio"\s+name="plan"\s+value="(\w+)"(.*?)</ul>', html, re.S)
    }
    assert list(cards) == ["10gb", "25gb", "50gb", "100gb", "reseller100gb"]
    for text in (
        "59.00 USD a year",
        "5.90 USD a month",
        "10 GB for all",
        "1 domain<",
        "5 mailboxes",
        "9,600",
    ):
        assert text in cards["10gb"]
    assert "99.00 USD a year" in cards["25gb"]
    assert "a month" not in cards["25gb"]
    assert "Unlimited domains" in cards["25gb"]
    described = re.search(r'aria-describedby="([^"]+)"', cards["10gb"])[1]
    assert f'id="{described}"' in html


def test_link_chooses_a_plan(client: Client, db: None) -> None:
    html = client.get("/order/?plan=25gb").content.decode()
    assert re.search(r'value="25gb"[^>]* checked', html)


def test_visitor_signs_up_on_the_way_and_nothing_is_lost(
    client: Client, db: None, fields: dict[str, str]
) -> None:
    answer = client.post("/order/", fields | {"street": "7 Kept Lane", "plan": "50gb"})
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/signup/?next=")
    signup = {"email": "new@example.test", "password1": PASSWORD, "password2": PASSWORD, "next": "/order/"}
    assert client.post(answer["Location"], signup).status_code == 302
    link = re.search(r"/accounts/confirm-email/[^/\s]+/", mail.outbox[0].body)[0]
    confirmed = client.post(link)
    assert confirmed.status_code == 302
    assert EmailAddress.objects.get().verified
    assert confirmed["Location"] == "/order/"
    html = client.get("/order/").content.decode()
    assert 'value="7 Kept Lane"' in html
    assert re.search(r'value="50gb"[^>]* checked', html)
    assert re.search(r'name="terms"[^>]* checked', html)
    assert client.post("/order/", fields).status_code == 302
    assert Order.objects.get().email == "new@example.test"
    assert "7 Kept Lane" not in client.get("/order/").content.decode()


def test_visitor_signs_in_on_the_way_and_nothing_is_lost(
    client: Client, alice: User, fields: dict[str, str]
) -> None:
    client.post("/order/", fields | {"street": "7 Kept Lane"})
    sign_in = {"login": alice.email, "password": PASSWORD, "next": "/order/"}
    answer = client.post("/accounts/login/", sign_in)
    assert answer["Location"] == "/order/"
    assert 'value="7 Kept Lane"' in client.get("/order/").content.decode()


def test_errors_keep_what_was_entered(
    as_: AsPerson, mallory: User, acme: Customer, fields: dict[str, str]
) -> None:
    wrong = fields | {
        "username": "acme",
        "domain": "no domain",
        "phone": "1",
        "street": "9 Kept Road",
        "terms": "",
    }
    answer = as_(mallory).post("/order/", wrong)
    html = answer.content.decode()
    assert answer.status_code == 422
    for field in ("username", "domain", "phone", "terms"):
        assert f'id="id_{field}_error"' in html
    assert 'value="9 Kept Road"' in html
    assert Order.objects.count() == 0
    assert Customer.objects.count() == 1


@pytest.mark.parametrize(
    "field", ["plan", "period", "name", "street", "city", "postcode", "country", "phone", "terms"]
)
def test_required(as_: AsPerson, mallory: User, fields: dict[str, str], field: str) -> None:
    answer = as_(mallory).post("/order/", fields | {field: ""})
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in answer.content.decode()


HOSTILE = ["a\nBcc: x@y.test", "nul\0", "\u202egnitirw", "x" * 65536, "tab\there", "\x1b[31m", "\ud800"]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_values_are_refused_at_their_field(
    as_: AsPerson, mallory: User, fields: dict[str, str], value: str
) -> None:
    client = as_(mallory)
    for field in [name for name in fields if name != "terms"]:
        sent = value.encode("utf-8", "replace").decode() if value != "\ud800" else "\ufffd" * 300
        answer = client.post("/order/", fields | {field: sent})
        assert answer.status_code == 422, field
        assert f'id="id_{field}_error"' in answer.content.decode(), field
    assert Order.objects.count() == 0
    assert Customer.objects.count() == 0


@pytest.mark.parametrize(
    "value", ["'; DROP TABLE x; --", '"><script>alert(1)</script>', "100% {{7*7}} $HOME", "../../etc", "-rf"]
)
def test_odd_but_plain_values_are_kept_as_text(
    as_: AsPerson, mallory: User, fields: dict[str, str], value: str
) -> None:
    client = as_(mallory)
    answer = client.post("/order/", fields | {"name": value, "street": value, "city": value})
    assert answer.status_code == 302
    order = Order.objects.get()
    assert order.street == value
    html = client.get(answer["Location"]).content.decode()
    assert "<script>alert" not in html


@pytest.mark.parametrize("username", ["a-b", "zwölf", "elevenchars", "../x", "\u212aelvin", "a b", "a\n"])
def test_usernames_outside_the_alphabet_are_refused(
    as_: AsPerson, mallory: User, fields: dict[str, str], username: str
) -> None:
    answer = as_(mallory).post("/order/", fields | {"username": username})
    if username == "a\n":  # a browser's stray line end is stripped like spaces
        assert answer.status_code == 302
    else:
        assert answer.status_code == 422


def test_username_is_made_from_domain_or_name(ordered: Callable[..., Order]) -> None:
    assert ordered(username="", domain="long-domain-name.example").customer.username == "longdomain"
    second = ordered(username="", domain="longdomain.example").customer.username
    assert re.fullmatch(r"[a-z0-9_]{1,10}", second)
    assert second != "longdomain"
    assert ordered(username="", domain="", name="Zoë Ø").customer.username == "zoe"
    assert ordered(username="", domain="xn--mller-kva.example", name="李").customer.username == "customer"


@pytest.mark.parametrize("username", ["", "wished"])
def test_twice_is_one_order(as_: AsPerson, mallory: User, fields: dict[str, str], username: str) -> None:
    client = as_(mallory)
    token = hidden(client.get("/order/").content.decode(), "submission")
    sent = fields | {"submission": token, "username": username}
    first = client.post("/order/", sent)
    second = client.post("/order/", sent)
    assert first["Location"] == second["Location"]
    assert Order.objects.count() == Customer.objects.count() == 1
    assert Notice.objects.count() == 1


def test_a_used_form_with_other_details_is_not_silently_the_old_order(
    as_: AsPerson, mallory: User, fields: dict[str, str]
) -> None:
    client = as_(mallory)
    token = hidden(client.get("/order/").content.decode(), "submission")
    client.post("/order/", fields | {"submission": token})
    changed = fields | {"submission": token, "street": "2 Other Street"}
    answer = client.post("/order/", changed)
    assert answer.status_code == 422
    html = answer.content.decode()
    assert "sent before" in html
    assert hidden(html, "submission") != token
    again = client.post("/order/", changed | {"submission": hidden(html, "submission")})
    assert again.status_code == 302
    assert Order.objects.count() == 2


def test_a_program_that_repeats_itself_makes_one_order(
    as_: AsPerson, mallory: User, fields: dict[str, str]
) -> None:
    client = as_(mallory)
    places = {client.post("/order/", fields | {"csrfmiddlewaretoken": "same"})["Location"] for _ in range(3)}
    assert len(places) == 1
    client.post("/order/", fields | {"csrfmiddlewaretoken": "other"})
    assert Order.objects.count() == 2
    Order.objects.update(placed_at="2020-01-01T00:00:00Z")
    client.post("/order/", fields | {"csrfmiddlewaretoken": "same"})
    assert Order.objects.count() == 3


def test_another_person_with_the_same_token_makes_an_own_order(
    as_: AsPerson, mallory: User, alice: User, fields: dict[str, str]
) -> None:
    sent = fields | {"submission": "a" * 32}
    as_(mallory).post("/order/", sent)
    as_(alice).post("/order/", sent)
    assert Order.objects.count() == Customer.objects.count() == 2


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("extra", [{"submission": "b" * 32}, {"csrfmiddlewaretoken": "same"}])
def test_double_submission_at_the_same_moment_makes_one_order(
    as_: AsPerson, mallory: User, fields: dict[str, str], extra: dict[str, str], quiet_broker: None
) -> None:
    clients = [as_(mallory) for _ in range(6)]

    def send(client: Client) -> Any:
        try:
            return client.post("/order/", fields | extra)["Location"]
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        places = list(pool.map(send, clients))
    assert len(set(places)) == 1
    assert Order.objects.count() == Customer.objects.count() == Notice.objects.count() == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_one_username_wanted_by_many_goes_to_one(
    as_: AsPerson, person: Callable[..., User], fields: dict[str, str], quiet_broker: None
) -> None:
    clients = [as_(person(f"p{number}@example.test")) for number in range(4)]

    def send(client: Client) -> int:
        try:
            return client.post("/order/", fields | {"username": "wanted"}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(send, clients))
    assert statuses == [302, 422, 422, 422]
    assert Customer.objects.count() == 1


def test_a_closed_plan_is_not_sold(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    Plan.objects.filter(slug="10gb").update(is_open=False)
    assert as_(mallory).post("/order/", fields).status_code == 422
    Plan.objects.filter(slug="25gb").update(monthly_minor=None)
    answer = as_(mallory).post("/order/", fields | {"plan": "25gb", "period": "monthly"})
    assert 'id="id_period_error"' in answer.content.decode()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_broker_that_is_away_changes_nothing_for_the_visitor(
    as_: AsPerson, mallory: User, fields: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(HintTask, "apply_async", away)
    answer = as_(mallory).post("/order/", fields)
    order = Order.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, order.get_absolute_url())
    assert due_checks() == [order.pk]
