"""Staff end the service of a customer who does not pay."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry, Customer, User
from billing.models import Renewal, Subscription
from tests.billing.renewed import NEXT, live, newest, on_day, pay

AsPerson = Callable[[User], Client]
LATE = NEXT + timedelta(days=46)


@pytest.fixture
def renewal(anna: Customer) -> Iterator[Renewal]:
    """One that is handed over to staff."""
    live(anna, NEXT - timedelta(days=7), LATE)
    with on_day(LATE):
        yield newest(anna)


def end(client: Client, renewal: Renewal, reason: str = "They wrote that they close") -> Any:
    return client.post(f"/admin/renewals/{renewal.label}/end/", {"reason": reason})


def is_running() -> bool:
    return Subscription.objects.get().ended_at is None


def test_works(renewal: Renewal, anna: Customer, sam: User, as_: AsPerson) -> None:
    page = as_(sam).get(f"/admin/renewals/{renewal.label}/").content.decode()
    assert "End the service" in page
    assert end(as_(sam), renewal).status_code == 302
    assert not is_running()
    anna.refresh_from_db()
    assert anna.status == "ended"
    renewal.refresh_from_db()
    assert renewal.taken_back_at
    assert not anna.suspensions.in_force().exists()
    entry = AuditEntry.objects.get(action="subscription.cancel")
    assert (entry.by, entry.by_staff) == (sam, True)
    assert entry.after == {"reason": "They wrote that they close", "ends": "now"}


def test_a_customer_gets_404(renewal: Renewal, alice: User, as_: AsPerson) -> None:
    assert end(as_(alice), renewal).status_code in (403, 404)
    assert is_running()


def test_twice_is_harmless(renewal: Renewal, sam: User, as_: AsPerson) -> None:
    end(as_(sam), renewal)
    assert end(as_(sam), renewal).status_code == 409
    assert AuditEntry.objects.filter(action="subscription.cancel").count() == 1


def test_it_wants_a_reason(renewal: Renewal, sam: User, as_: AsPerson) -> None:
    assert end(as_(sam), renewal, "").status_code == 422
    assert is_running()


def test_not_where_it_is_paid_meanwhile(renewal: Renewal, sam: User, as_: AsPerson) -> None:
    pay(renewal, by=sam)
    assert end(as_(sam), renewal).status_code == 409
    assert is_running()
