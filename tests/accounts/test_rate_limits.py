"""The floors below which no limit bites, from one network address within a minute; and that there are limits."""

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from tests.conftest import PASSWORD

LIMITED = "Too many"


@pytest.fixture(autouse=True)
def empty_cache(db: None) -> None:
    cache.clear()


def sign_in(password: str, email: str = "alice@example.test") -> str:
    answer = Client().post("/accounts/login/", {"login": email, "password": password})
    return f"{answer.status_code} {answer.content.decode()}"


def test_thirty_sign_ins_are_let_in(alice: User) -> None:
    assert all(sign_in(PASSWORD).startswith("302") for _ in range(30))


def test_thirty_wrong_passwords_are_only_wrong_and_then_it_ends(alice: User) -> None:
    answers = [sign_in("wrong-7391-wrong") for _ in range(31)]
    assert not any(LIMITED in answer for answer in answers[:30])
    assert LIMITED in answers[30]


def test_twenty_people_sign_up(db: None) -> None:
    for number in range(20):
        form = {"email": f"new{number}@example.test", "password1": PASSWORD, "password2": PASSWORD}
        assert Client().post("/accounts/signup/", form).status_code == 302
    assert User.objects.count() == 20
