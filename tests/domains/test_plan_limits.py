"""Every limit of the plan that is reached says which, how much it is, and how to raise it, wherever it is shown."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Customer, User
from domains.models import Domain, Mailbox
from tests.domains.conftest import BASE, HASH, PASSWORD
from tests.plans import sell_as

pytestmark = pytest.mark.django_db

LARGER = 'href="/contact/">Write to us for a larger plan</a>'
LIST = f"{BASE}acme.test/mailboxes/"
As = Callable[[User], Client]


def limit(**limits: int) -> None:
    sell_as(Customer.objects.get(username="acme"), **limits)


def refusal(answer: Any) -> str:
    assert answer.status_code == 422
    return str(answer.content.decode())


def test_mailboxes(as_: As, alice: User, anna: Mailbox) -> None:
    limit(mailboxes=1)
    page = refusal(as_(alice).post(f"{LIST}add/", {"username": "ben", "password": PASSWORD, "quota_mb": "1"}))
    assert "Your plan holds 1 mailboxes, and 1 are there." in page
    assert LARGER in page


def test_mailboxes_had_back(as_: As, alice: User, anna: Mailbox, domain: Domain) -> None:
    anna.delete(by=None)
    domain.add_mailbox("ben", password_hash=HASH, by=None)
    limit(mailboxes=1)
    page = refusal(as_(alice).post(f"{LIST}anna/restore/", {"which": str(anna.pk)}))
    assert "Your plan holds 1 mailboxes" in page
    assert LARGER in page


def test_quota(as_: As, alice: User, anna: Mailbox) -> None:
    page = refusal(as_(alice).post(f"{LIST}anna/change/", {"name": "Anna", "quota_mb": "10241"}))
    assert "Your plan holds 10240 MB." in page
    assert LARGER in page


def test_quota_of_many(as_: As, alice: User, anna: Mailbox) -> None:
    form = {"verb": "quota", "scope": "matching", "quota_mb": "10241"}
    page = refusal(as_(alice).post(f"{BASE}acme.test/bulk/add/", form))
    assert "Your plan holds 10240 MB." in page
    assert LARGER in page


def test_domains_had_back(as_: As, alice: User, served: Customer, domain: Domain) -> None:
    domain.delete(by=None)
    served.domains.create(name="other-acme.test")
    limit(domains=1)
    page = refusal(as_(alice).post(f"{BASE}acme.test/restore/", {"which": str(domain.pk)}))
    assert "Your plan holds 1 domains" in page
    assert LARGER in page


def test_what_no_plan_would_lift_points_to_none(as_: As, alice: User, anna: Mailbox) -> None:
    page = refusal(
        as_(alice).post(f"{LIST}add/", {"username": "anna", "password": PASSWORD, "quota_mb": "1"})
    )
    assert LARGER not in page
