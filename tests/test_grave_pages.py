"""Every page that can lock somebody out, let others in, or move money asks again who one is, after fifteen minutes."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts.models import Customer, User
from tests.access_table import GRAVE, TABLE
from tests.test_census import SAMPLES, named_urls

LATER = settings.ACCOUNT_REAUTHENTICATION_TIMEOUT + 1  # seconds
ASKS = ("/accounts/reauthenticate/", "/accounts/2fa/reauthenticate/")


@pytest.mark.parametrize("name", sorted(GRAVE))
def test_it_asks_again(
    name: str, as_: Callable[[User], Client], acme: Customer, alice: User, sam: User
) -> None:
    """By each method that it has, before it looks whether there is what the address names."""
    client = as_(sam if is_of_staff(name) else alice)
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] = time.time() - LATER
    session.save()
    path = a_path(name, named_urls()[name])
    answers = [answer for answer in (client.get(path), client.post(path)) if answer.status_code != 405]
    assert answers
    for answer in answers:
        assert answer.status_code == 302, answer.wsgi_request.method
        assert answer["Location"].startswith(ASKS)


def is_of_staff(name: str) -> bool:
    rule: dict[str, str] = TABLE.get(name, {}).get("POST", {})
    return rule.get("owner") == "403"


def a_path(name: str, keys: frozenset[str]) -> str:
    """Its address; what it names besides the customer is not there."""
    for nothing in ("nothing", UUID(int=0), 0):
        arguments: dict[str, Any] = {key: SAMPLES.get(key, nothing) for key in keys}
        try:
            return reverse(name, kwargs=arguments)
        except NoReverseMatch:
            continue
    raise AssertionError(name)
