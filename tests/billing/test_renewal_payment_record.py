"""Staff's page about a renewal, and recording money that came in for it by hand."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry, Customer, Notice, Role, User
from billing import screening
from billing.models import CardOnFile, Invoice, Order, Payment, Renewal
from tests.billing.conftest import fresh
from tests.billing.renewed import BEGAN, NEXT, begin, live, newest, on_day, pay, sweep
from tests.billing.stripe_desk import StripeDesk
from tests.test_census import card_of

AsPerson = Callable[[User], Client]
LATE = NEXT + timedelta(days=12)
TRANSFER = {"method": "bank_transfer", "reference": "R-1", "amount": "59.00", "currency": "USD"}
DECLINED = "4000000000000341"


@pytest.fixture
def renewal(anna: Customer) -> Iterator[Renewal]:
    """One that is not paid; it is twelve days late."""
    live(anna, NEXT - timedelta(days=7), LATE)
    with on_day(LATE):
        yield newest(anna)


def page_of(client: Client, renewal: Renewal) -> str:
    return " ".join(client.get(f"/admin/renewals/{renewal.label}/").content.decode().split())


def record(client: Client, renewal: Renewal, **changes: str) -> Any:
    return client.post(f"/admin/renewals/{renewal.label}/payment/", TRANSFER | changes)


def test_works(renewal: Renewal, anna: Customer, sam: User, as_: AsPerson) -> None:
    client = as_(sam)
    html = page_of(client, renewal)
    for part in ('data-amount="59.00"', "Sending is stopped since", "Sending stopped", "None was made."):
        assert part in html, part
    assert record(client, renewal, amount="50.00").status_code == 302
    assert anna.suspensions.in_force().exists()
    html = page_of(client, renewal)
    assert 'data-amount="9.00"' in html
    assert "Paid: bank transfer, 50.00 USD" in html
    answer = record(client, renewal, amount="9.00", reference="R-2")
    assert answer["Location"] == f"/admin/renewals/{renewal.label}/"
    assert not anna.suspensions.in_force().exists()
    assert newest(anna).settled_at
    assert Notice.objects.filter(kind="renewal.paid").count() == 1
    assert AuditEntry.objects.filter(action="payment.record", subject=renewal.label, by=sam).count() == 2
    assert "no payment can be recorded" in page_of(client, renewal)


def test_it_names_what_came_of_the_card(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, sam: User, as_: AsPerson
) -> None:
    stripe.change(visa, number=DECLINED)
    live(anna, NEXT - timedelta(days=1), NEXT)
    with on_day(NEXT):
        html = page_of(as_(sam), newest(anna))
    assert "Visa 4242, declined on 15 March 2028: " in html
    assert "We try Visa 4242 again on 16 March 2028 (tomorrow)." in html


@pytest.mark.parametrize("who", ["alice", "mallory"])
def test_others_get_403(renewal: Renewal, as_: AsPerson, request: pytest.FixtureRequest, who: str) -> None:
    client = as_(request.getfixturevalue(who))
    assert record(client, renewal).status_code == 403
    assert client.get(f"/admin/renewals/{renewal.label}/").status_code == 403
    assert not Payment.objects.filter(renewal=renewal).exists()


def test_support_may_look_and_record_nothing(
    renewal: Renewal, staff_of: Callable[[str], User], as_: AsPerson
) -> None:
    client = as_(staff_of("support"))
    html = page_of(client, renewal)
    assert 'data-amount="59.00"' in html
    assert "Record payment" not in html
    assert record(client, renewal).status_code == 403
    assert client.get("/admin/billing/renewal/").status_code == 200
    assert client.get("/admin/billing/renewalcharge/").status_code == 200


def test_a_double_click_is_one_payment(renewal: Renewal, sam: User, as_: AsPerson) -> None:
    client = as_(sam)
    for extra in ({"submission": "s" * 32}, {"csrfmiddlewaretoken": "same"}):
        for _ in range(2):
            assert record(client, renewal, amount="10.00", **extra).status_code == 302
    assert [payment.amount_minor for payment in renewal.payments.all()] == [1000, 1000]


def test_after_the_sum_is_in_nothing_more_is_taken(
    renewal: Renewal, anna: Customer, sam: User, as_: AsPerson
) -> None:
    pay(renewal, by=sam)
    answer = record(as_(sam), renewal, reference="another")
    assert answer.status_code == 409
    assert "No payment is due" in answer.content.decode()
    assert Payment.objects.filter(renewal=renewal).count() == 1


def test_nobody_records_money_for_a_customer_of_their_own(
    renewal: Renewal, anna: Customer, sam: User, as_: AsPerson
) -> None:
    anna.memberships.create(user=sam, role=Role.READER)
    answer = record(as_(sam), renewal)
    assert answer.status_code == 409
    assert "You are a member of this customer." in answer.content.decode()
    assert not Payment.objects.filter(renewal=renewal).exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "59.01"}, "amount"),
        ({"amount": "0.00"}, "amount"),
        ({"amount": "-59.00"}, "amount"),
        ({"amount": "9" * 65536}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"currency": "U\0D"}, "currency"),
        ({"method": "card"}, "method"),
        ({"reference": "a\nb"}, "reference"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_recorded(
    renewal: Renewal, sam: User, as_: AsPerson, changes: dict[str, str], field: str
) -> None:
    answer = record(as_(sam), renewal, **changes)
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert not Payment.objects.filter(renewal=renewal).exists()


def test_an_order_has_its_review_page_instead(unpaid: Order, sam: User, as_: AsPerson) -> None:
    number = Invoice.objects.get(order=unpaid).number
    assert as_(sam).get(f"/admin/renewals/{number}/").status_code == 404
    assert as_(sam).post(f"/admin/renewals/{number}/payment/", TRANSFER).status_code == 404


@pytest.mark.parametrize(
    ("standing", "found"), [("open", 1), ("late", 1), ("settled", 0), ("odd", 1), ("", 1)]
)
def test_the_list_is_filtered_by_how_they_stand(
    renewal: Renewal, sam: User, as_: AsPerson, standing: str, found: int
) -> None:
    html = (
        as_(sam).get("/admin/billing/renewal/", {"standing": standing} if standing else {}).content.decode()
    )
    assert html.count(f'href="/admin/renewals/{renewal.label}/"') == found
    assert ("receiving stops on 8 April 2028" in html) == bool(found)


def test_the_list_takes_as_many_queries_for_many_as_for_one(
    renewal: Renewal, ordered: Callable[..., Order], mallory: User, sam: User, as_: AsPerson
) -> None:
    def queries() -> int:
        client.get("/admin/billing/renewal/")
        with CaptureQueriesContext(connection) as found:
            assert client.get("/admin/billing/renewal/").status_code == 200
        return len(found)

    client = as_(sam)
    one = queries()
    order = ordered(by=mallory)
    screening.check_order(order.pk)
    fresh(order).approve("", by=sam)
    another = begin(order, on=BEGAN, by=sam).customer
    card_of(another, mallory)
    sweep(another)
    assert newest(another).is_open
    assert queries() == one
