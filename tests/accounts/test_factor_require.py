"""An owner asks a second factor of all members; who has none is led to it and does nothing else with the customer."""

import time
from collections.abc import Callable

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.test import Client

from accounts import security
from accounts.models import AuditEntry, Customer, FactorRule, User
from tests.accounts.owed import sent_now
from tests.codes import code_now
from tests.conftest import PASSWORD, TOTP_SECRET

PAGE = "/c/acme/security/"
As = Callable[[User], Client]


@pytest.fixture
def alice_with_factor(acme: Customer, alice: User) -> User:
    TOTP.activate(alice, TOTP_SECRET)
    return alice


@pytest.fixture
def rule(acme: Customer, alice_with_factor: User) -> FactorRule:
    security.require_factor(acme, by=alice_with_factor)
    return FactorRule.objects.get()


def test_the_owner_turns_it_on(as_: As, alice_with_factor: User, acme: Customer) -> None:
    client = as_(alice_with_factor)
    assert b'data-status="off"' in client.get(PAGE).content
    assert client.post(f"{PAGE}require/")["Location"] == PAGE
    assert b'data-status="on"' in client.get(PAGE).content
    entry = AuditEntry.objects.get(action="factor_rule.set")
    assert (entry.by, entry.customer) == (alice_with_factor, acme)


def test_a_stranger_finds_nothing_and_an_admin_may_not(
    as_: As, acme: Customer, mallory: User, dave: User
) -> None:
    for verb in ("require", "waive"):
        assert as_(mallory).post(f"{PAGE}{verb}/").status_code == 404
        assert as_(dave).post(f"{PAGE}{verb}/").status_code == 403
    assert not FactorRule.objects.exists()


def test_twice_is_harmless(as_: As, rule: FactorRule, alice: User) -> None:
    as_(alice).post(f"{PAGE}require/")
    assert FactorRule.objects.get() == rule
    assert AuditEntry.objects.filter(action="factor_rule.set").count() == 1


def test_an_owner_without_one_is_told_to_set_it_up_first(as_: As, acme: Customer, alice: User) -> None:
    answer = as_(alice).post(f"{PAGE}require/")
    assert answer.status_code == 422
    assert b"id_rule_error" in answer.content
    assert not FactorRule.objects.exists()


def test_it_asks_again_after_fifteen_minutes(
    as_: As, alice_with_factor: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_(alice_with_factor)
    later = time.time() + 15 * 60 + 1
    monkeypatch.setattr("accounts.adapter.time.time", lambda: later)
    assert client.post(f"{PAGE}require/")["Location"].startswith("/accounts/2fa/reauthenticate/")
    assert not FactorRule.objects.exists()


def test_all_members_are_told(rule: FactorRule) -> None:
    (message,) = sent_now()
    assert set(message.to) == {f"{name}@example.test" for name in ("alice", "bob", "carol", "dave")}
    assert "Alice Acme decided" in message.body
    assert "/accounts/2fa/" in message.body


@pytest.mark.parametrize(
    ("method", "path"),
    [("get", "/c/acme/"), ("get", "/c/acme/members/"), ("post", "/c/acme/domains/add/"), ("get", PAGE)],
)
def test_a_member_without_one_is_led_to_it_and_does_nothing_else(
    as_: As, rule: FactorRule, dave: User, method: str, path: str
) -> None:
    client = as_(dave)
    answer = getattr(client, method)(path)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/2fa/")
    assert "Acme Ltd asks a second factor" in client.get("/accounts/2fa/").content.decode()


def test_setting_it_up_leads_back_and_opens_the_pages(as_: As, rule: FactorRule, bob: User) -> None:
    client = as_(bob)
    client.get("/c/acme/members/")
    page = client.get("/accounts/2fa/totp/activate/")
    code = code_now(page.context["form"].secret)
    assert client.post("/accounts/2fa/totp/activate/", {"code": code})["Location"].endswith(
        "/recovery-codes/"
    )
    assert b'href="/c/acme/members/"' in client.get("/accounts/2fa/recovery-codes/").content
    assert client.get("/c/acme/members/").status_code == 200


def test_whoever_has_one_shows_it_in_this_session(as_: As, rule: FactorRule, bob: User) -> None:
    client = as_(bob)
    TOTP.activate(bob, TOTP_SECRET)  # elsewhere
    answer = client.get("/c/acme/")
    assert answer["Location"] == "/accounts/2fa/reauthenticate/?next=%2Fc%2Facme%2F"
    assert client.post(answer["Location"], {"code": code_now()})["Location"] == "/c/acme/"
    assert client.get("/c/acme/").status_code == 200


def test_a_reset_of_the_password_does_not_get_round_it(rule: FactorRule, alice: User) -> None:
    client = Client()
    answer = client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert answer["Location"] == "/accounts/2fa/authenticate/"


def test_other_customers_and_strangers_notice_nothing(
    as_: As, rule: FactorRule, other: Customer, mallory: User, bob: User
) -> None:
    assert as_(mallory).get("/c/other/").status_code == 200
    assert as_(mallory).get("/c/acme/").status_code == 404
    assert as_(bob).get("/accounts/home/?all").status_code == 200


def test_the_owner_sees_who_has_none(as_: As, rule: FactorRule, alice: User) -> None:
    page = as_(alice).get(PAGE).content.decode().split("Members without")[1]
    assert "bob@example.test" in page
    assert "alice@example.test" not in page


def test_who_has_none_is_nobody_elses_business(as_: As, acme: Customer, dave: User) -> None:
    assert "bob@example.test" not in as_(dave).get(PAGE).content.decode()


def test_taking_ones_own_off_closes_the_pages_again(as_: As, rule: FactorRule, alice: User) -> None:
    client = as_(alice)
    client.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.filter(user=alice).exists()
    assert client.get("/c/acme/")["Location"] == "/accounts/2fa/"


def test_it_is_waived_and_the_owners_are_told(as_: As, rule: FactorRule, alice: User, bob: User) -> None:
    sent_now()
    client = as_(alice)
    assert client.post(f"{PAGE}waive/")["Location"] == PAGE
    client.post(f"{PAGE}waive/")  # twice is harmless
    assert as_(bob).get("/c/acme/").status_code == 200
    assert AuditEntry.objects.filter(action="factor_rule.waive").count() == 1
    (message,) = sent_now()
    assert message.to == ["alice@example.test"]


def test_it_costs_no_query_where_it_is_off(
    as_: As, acme: Customer, bob: User, django_assert_max_num_queries
) -> None:
    client = as_(bob)
    with django_assert_max_num_queries(5):  # session, person, customer, role, other customers
        client.post("/c/acme/security/require/")
