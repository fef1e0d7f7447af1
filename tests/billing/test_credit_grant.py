"""Staff give a customer credit for a reason. It pays renewals before a card is charged; what is left can be taken back."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.models import AuditEntry, Customer, Role, User
from billing import crediting, ledger
from billing.models import (
    CardOnFile,
    CreditGrant,
    LedgerEntry,
    Order,
    Payment,
    Renewal,
    SaleConflict,
    Subscription,
)
from billing.submissions import Submission, new_token
from tests.billing.renewed import NEXT, live, newest, on_day, pay
from tests.billing.stripe_desk import StripeDesk, mails

AsPerson = Callable[[User], Client]
AHEAD = NEXT - timedelta(days=8)


def grant(customer: Customer, amount_minor: int, *, by: User, **more: Any) -> CreditGrant:
    wish = {"currency": "USD", "reason": "It was down", "submission": Submission(new_token(), "", True)}
    return crediting.grant_credit(customer, amount_minor=amount_minor, by=by, **wish | more)


def sums(customer: Customer) -> dict[str, int]:
    return {str(account): amount for account, amount in ledger.balances(customer)["USD"].items() if amount}


def path_of(customer: Customer) -> str:
    return f"/admin/customers/{customer.username}/goodwill/"


def page_of(client: Client, path: str) -> str:
    return " ".join(client.get(path).content.decode().split())


def test_works(anna: Customer, alice: User, sam: User, as_: AsPerson) -> None:
    client, path = as_(sam), path_of(anna)
    assert "None was given yet." in page_of(client, path)
    answer = client.post(f"{path}credit/", {"amount": "20.00", "reason": "It was down"})
    assert (answer.status_code, answer["Location"]) == (302, path)
    html = page_of(client, path)
    assert "Held for the customer: 20.00 USD." in html
    assert "20.00 USD are left." in html
    assert sums(anna) == {"revenue": -5900, "bank": 5900, "goodwill": 2000, "credit": -2000}
    [told] = mails("credit.granted")
    assert told.to == [alice.email]
    assert "a credit of 20.00 USD" in told.body
    assert "It was down" in told.body
    html = page_of(as_(alice), f"/c/{anna.username}/billing/")
    assert "20.00 USD of a credit from" in html
    assert AuditEntry.objects.get(action="credit.grant").after == {"reason": "It was down"}
    made = CreditGrant.objects.get()
    assert client.post(f"{path}credit/{made.pk}/take-back/").status_code == 302
    assert sums(anna) == {"revenue": -5900, "bank": 5900}
    assert "20.00 USD of it were taken back" in page_of(client, path)
    assert [told.to for told in mails("credit.taken_back")] == [[alice.email]]
    assert not CreditGrant.objects.get().take_back(by=sam)


def test_the_card_is_charged_the_rest(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, alice: User, sam: User, as_: AsPerson
) -> None:
    first, second = grant(anna, 1000, by=sam), grant(anna, 1000, by=sam)
    live(anna, AHEAD, NEXT - timedelta(days=1))
    with on_day(NEXT - timedelta(days=1), 14):
        assert newest(anna).due_minor == 5900
        html = page_of(as_(alice), newest(anna).get_absolute_url())
        assert "20.00 USD that we hold for you pay a part of it on 15 March 2028 (tomorrow)" in html
    live(anna, NEXT, NEXT)
    assert stripe.kept_minor == 3900
    assert newest(anna).settled_at
    paid = Payment.objects.filter(method="credit").values_list("grant", "amount_minor")
    assert set(paid) == {(first.pk, 1000), (second.pk, 1000)}
    assert sums(anna) == {"revenue": -11800, "bank": 5900, "cards": 3900, "goodwill": 2000}
    with on_day(NEXT, 14):
        (told,) = mails("renewal.paid")
    assert "10.00 USD (credit)" in told.body
    assert not first.take_back(by=sam)


def test_what_is_left_is_nothing_or_what_a_card_can_pay(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, sam: User
) -> None:
    made = grant(anna, 5880, by=sam)
    live(anna, AHEAD, NEXT)
    assert (stripe.kept_minor, made.left_minor) == (50, 30)
    assert newest(anna).settled_at


def test_of_cents_that_no_card_can_pay_the_page_says_so(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, alice: User, sam: User, as_: AsPerson
) -> None:
    live(anna, AHEAD, AHEAD + timedelta(days=1))
    pay(newest(anna), "58.80", by=sam)
    live(anna, NEXT, NEXT + timedelta(days=1))
    assert stripe.charges == 0
    with on_day(NEXT + timedelta(days=1), 14):
        html = page_of(as_(alice), newest(anna).get_absolute_url())
    assert "Cards cannot pay this sum. Please pay it in another way." in html
    assert "Pay by card" not in html


def test_more_than_enough_pays_all_and_stays(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, sam: User
) -> None:
    made = grant(anna, 7000, by=sam)
    live(anna, AHEAD, NEXT)
    assert (stripe.charges, made.left_minor) == (0, 1100)
    assert newest(anna).settled_at
    assert made.take_back(by=sam)
    assert sums(anna) == {"revenue": -11800, "bank": 5900, "goodwill": 5900}


def test_it_pays_at_once_what_is_overdue(anna: Customer, sam: User) -> None:
    late = NEXT + timedelta(days=12)
    live(anna, AHEAD, late)
    assert anna.suspensions.in_force().exists()
    with on_day(late, 13):
        grant(anna, 5900, by=sam)
    live(anna, late + timedelta(days=1), late + timedelta(days=1))
    assert newest(anna).settled_at
    assert not anna.suspensions.in_force().exists()


def test_what_it_paid_of_a_renewal_that_is_taken_back_is_there_again(
    anna: Customer, alice: User, sam: User, service: Subscription
) -> None:
    made = grant(anna, 2000, by=sam)
    live(anna, AHEAD, NEXT)
    assert (newest(anna).due_minor, made.left_minor) == (3900, 0)
    with on_day(NEXT, 14):
        assert Subscription.objects.get(pk=service.pk).cancel(by=alice, at_once=True)
    assert made.left_minor == 2000
    assert made.take_back(by=sam)
    assert sums(anna) == {"revenue": -5900, "bank": 5900}


def test_a_transfer_for_what_was_taken_back_is_held(
    anna: Customer, alice: User, sam: User, service: Subscription, as_: AsPerson
) -> None:
    live(anna, AHEAD, AHEAD + timedelta(days=2))
    with on_day(AHEAD + timedelta(days=2), 14):
        renewal = newest(anna)
        service.cancel(by=alice)
        page = as_(sam).get(f"/admin/renewals/{renewal.label}/").content.decode()
        assert "is held for the customer" in page
        pay(renewal, "59.00", by=sam)
        assert sums(anna) == {"revenue": -5900, "bank": 11800, "credit": -5900}
        service.go_on(by=alice)
    live(anna, AHEAD + timedelta(days=3), NEXT)
    assert newest(anna).settled_at
    assert sums(anna) == {"revenue": -11800, "bank": 11800}


def test_a_refund_gives_no_credit_as_money(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, sam: User
) -> None:
    grant(anna, 2000, by=sam)
    live(anna, AHEAD, NEXT)
    assert newest(anna).refundable_minor == 3900


def test_nor_does_one_of_a_transfer_that_paid_something_else(
    anna: Customer, alice: User, sam: User, service: Subscription
) -> None:
    early = AHEAD + timedelta(days=2)
    live(anna, AHEAD, early)
    with on_day(early, 14):
        renewal = newest(anna)
        service.cancel(by=alice)
        pay(renewal, "59.00", by=sam)
        grant(anna, 2000, by=sam)
        grant(anna, 9000, by=sam, currency="EUR")
        assert renewal.refundable_minor == 5900
        service.go_on(by=alice)
    live(anna, AHEAD + timedelta(days=3), NEXT)
    assert newest(anna).settled_at
    with on_day(NEXT, 14):
        assert Renewal.objects.get(pk=renewal.pk).refundable_minor == 2000
        grant(anna, 5000, by=sam)
        assert Renewal.objects.get(pk=renewal.pk).refundable_minor == 2000


def test_twice_is_harmless(anna: Customer, sam: User) -> None:
    once = Submission(new_token(), "", True)
    assert grant(anna, 2000, by=sam, submission=once) == grant(anna, 2000, by=sam, submission=once)
    assert LedgerEntry.objects.filter(kind="grant").count() == 1


def test_nobody_gives_themselves_credit_nor_takes_it_back(
    anna: Customer, sam: User, staff_of: Callable[[str], User], as_: AsPerson
) -> None:
    made = grant(anna, 2000, by=staff_of("manager"))
    anna.memberships.create(user=sam, role=Role.READER)
    with pytest.raises(SaleConflict, match="You are a member"):
        grant(anna, 2000, by=sam)
    with pytest.raises(SaleConflict, match="You are a member"):
        made.take_back(by=sam)
    assert as_(sam).post(f"{path_of(anna)}credit/{made.pk}/take-back/").status_code == 409
    assert made.left_minor == 2000


def test_it_is_of_the_currency_of_the_last_order_where_no_service_runs(
    unpaid: Order, sam: User, as_: AsPerson
) -> None:
    Order.objects.filter(pk=unpaid.pk).update(currency="EUR")
    assert "Amount in EUR" in page_of(as_(sam), path_of(unpaid.customer))
    Order.objects.filter(pk=unpaid.pk).update(currency="USD")  # as its invoice is


def test_what_is_wrong_says_so(anna: Customer, sam: User, as_: AsPerson) -> None:
    client = as_(sam)
    for wrong in ({"amount": "-1"}, {"amount": "0.001"}, {"reason": ""}):
        sent = {"amount": "20.00", "reason": "It was down"} | wrong
        assert client.post(f"{path_of(anna)}credit/", sent).status_code == 422
    assert not CreditGrant.objects.exists()


@pytest.mark.parametrize("who", ["alice", "mallory"])
def test_others_get_403(anna: Customer, as_: AsPerson, who: str, request: pytest.FixtureRequest) -> None:
    client = as_(request.getfixturevalue(who))
    assert client.get(path_of(anna)).status_code == 403
    assert client.post(f"{path_of(anna)}credit/").status_code == 403


def test_the_database_refuses_to_use_it_twice(anna: Customer, sam: User) -> None:
    made = grant(anna, 2000, by=sam)
    live(anna, AHEAD, AHEAD + timedelta(days=1))
    facts = {"method": "credit", "grant": made, "currency": "USD"}
    with pytest.raises(IntegrityError, match="more than was given"), transaction.atomic():
        newest(anna).payments.create(amount_minor=2001, **facts)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_at_once_it_pays_once(anna: Customer, sam: User) -> None:
    """Four workers use a credit at the same moment, while somebody takes it back."""
    made = grant(anna, 2000, by=sam)
    live(anna, AHEAD, AHEAD + timedelta(days=1))

    def use(number: int) -> bool:
        try:
            return made.take_back(by=sam) if number == 2 else newest(anna).use_credit()
        except (SaleConflict, ValidationError):
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(use, range(4))) == 1
    assert sums(anna)["receivable"] in (3900, 5900)
    assert "credit" not in sums(anna)
