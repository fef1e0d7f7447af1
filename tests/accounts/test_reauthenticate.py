"""Nobody is asked for the password again within 15 minutes of signing in; later, before grave acts, yes."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

import pytest
from allauth.core import context
from allauth.core.exceptions import ReauthenticationRequired
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.access import asks_again
from accounts.models import Customer, FactorRule, Role, User
from tests.codes import code_now
from tests.conftest import PASSWORD

SENSITIVE = "/accounts/2fa/totp/activate/"
CODES = "/accounts/2fa/recovery-codes/generate/"
LATER = 15 * 60 + 1


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    return client


def test_is_not_asked_for_just_after_signing_in(signed_in: Client) -> None:
    assert signed_in.get(SENSITIVE).status_code == 200


@pytest.mark.parametrize(
    "path", [SENSITIVE, "/accounts/2fa/webauthn/add/", CODES, "/accounts/password/change/"]
)
def test_is_asked_for_after_fifteen_minutes(
    signed_in: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    later = time.time() + LATER
    monkeypatch.setattr("accounts.adapter.time.time", lambda: later)
    answer = signed_in.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/reauthenticate/")


def test_of_another_person_does_not_count(signed_in: Client, bob: User) -> None:
    signed_in.force_login(bob, "allauth.account.auth_backends.AuthenticationBackend")
    assert signed_in.get(SENSITIVE).status_code == 302


def test_whoever_has_a_factor_is_asked_for_that_and_never_for_the_password(
    as_: Callable[[User], Client], sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_(sam)
    assert client.get(CODES).status_code == 200
    later = time.time() + LATER
    monkeypatch.setattr("accounts.adapter.time.time", lambda: later)
    answer = client.get(CODES)
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/accounts/2fa/reauthenticate/")
    by_password = client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert by_password["Location"].startswith("/accounts/2fa/reauthenticate/")
    assert client.get(CODES).status_code == 302
    monkeypatch.undo()
    asked = client.post(answer["Location"], {"code": code_now()})
    assert (asked.status_code, asked["Location"]) == (302, CODES)
    assert client.get(CODES).status_code == 200


def test_a_password_alone_does_not_stand_in_for_the_factor(as_: Callable[[User], Client], sam: User) -> None:
    client = as_(sam)
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
    session.save()
    assert client.get(CODES).status_code == 302


def test_the_decorator_holds_a_view_up(
    as_: Callable[[User], Client], alice: User, rf: RequestFactory
) -> None:
    @asks_again
    def page(request: Any) -> HttpResponse:
        return HttpResponse("done")

    request = rf.post("/")
    request.user, request.session = alice, as_(alice).session
    with context.request_context(request):
        assert page(request).content == b"done"
        request.session["account_authentication_methods"] = [
            {"method": "password", "at": time.time() - LATER}
        ]
        with pytest.raises(ReauthenticationRequired):
            page(request)


MEMBERS = "/c/acme/members/"


def stale(client: Client) -> Client:
    """Its person proved who they are more than fifteen minutes ago."""
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] = time.time() - LATER
    session.save()
    return client


@pytest.fixture
def at_members(acme: Customer, alice: User, bob: User) -> dict[str, str]:
    """The grave acts of acme's pages, and where the form of each stands."""
    member = f"{MEMBERS}{acme.memberships.get(user=bob).pk}/"
    invitation = acme.invite_member("new@example.test", Role.READER, by=alice)
    return {
        f"{MEMBERS}invite/": f"{MEMBERS}invite/",
        f"{member}change/": member,
        f"{member}remove/": member,
        f"{MEMBERS}invitations/{invitation.pk}/resend/": MEMBERS,
        f"{MEMBERS}ownership/offer/": f"{MEMBERS}ownership/",
        f"{MEMBERS}ownership/accept/": f"{MEMBERS}ownership/",
        "/c/acme/security/require/": "/c/acme/security/",
        "/c/acme/security/waive/": "/c/acme/security/",
        "/accounts/email/change/": "/accounts/email/",
        "/accounts/sessions/end/": "/accounts/sessions/",
        "/accounts/password/change/": "/accounts/password/change/",
        CODES: CODES,
    }


def test_a_grave_act_changes_nothing_and_leads_back_to_its_form(
    as_: Callable[[User], Client], acme: Customer, alice: User, at_members: dict[str, str]
) -> None:
    before = list(acme.memberships.values_list("user", "role"))
    mails = list(acme.invitations.values_list("email", "mails"))
    for path, form_on in at_members.items():
        cache.clear()  # ten proofs a minute are the limit
        client = stale(as_(alice))
        answer = client.post(path, {"email": "x@example.test", "role": "owner"})
        assert answer.status_code == 302, path
        assert answer["Location"].startswith("/accounts/reauthenticate/"), path
        back = client.post(answer["Location"], {"password": PASSWORD})
        assert (back.status_code, back["Location"]) == (302, form_on)
        assert client.get(form_on).status_code == 200
    assert list(acme.memberships.values_list("user", "role")) == before
    assert list(acme.invitations.values_list("email", "mails")) == mails


@pytest.mark.parametrize("path", ["/accounts/2fa/recovery-codes/", "/accounts/2fa/recovery-codes/download/"])
def test_recovery_codes_are_not_shown_to_whoever_finds_the_browser_open(
    as_: Callable[[User], Client], sam: User, path: str
) -> None:
    answer = stale(as_(sam)).get(path)
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/accounts/2fa/reauthenticate/")


def test_a_form_of_a_page_that_wants_a_factor_leads_back_to_where_it_was_sent_from(
    as_: Callable[[User], Client], acme: Customer, sam: User
) -> None:
    acme.add_member(sam, Role.ADMIN, by=None)
    FactorRule.objects.create(customer=acme, by=sam)
    client = as_(sam)
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
    session.save()
    for referer, back in (
        ("http://testserver/c/acme/", "%2Fc%2Facme%2F"),
        ("https://evil.test/c/", "%2Faccounts%2Fhome%2F"),
    ):
        answer = client.post("/c/acme/domains/add/", {"domain": "x.test"}, HTTP_REFERER=referer)
        assert answer["Location"].startswith("/accounts/2fa/reauthenticate/?next=")
        assert answer["Location"].endswith(back)


def routes(resolver: URLResolver, prefix: str = "/") -> Iterator[tuple[str, URLPattern]]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, route)
        else:
            yield route, pattern


def test_every_way_back_is_a_page() -> None:
    known = dict(routes(get_resolver()))
    guarded = {
        route: each.callback.form_on for route, each in known.items() if hasattr(each.callback, "form_on")
    }
    assert len(guarded) > 10
    lost = [route for route, form_on in guarded.items() if urljoin(route, form_on) not in known]
    assert not lost
