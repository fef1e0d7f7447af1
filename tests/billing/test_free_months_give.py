"""Staff give months for nothing: the next period starts later. Until they begin they can be withdrawn."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.test import Client

from accounts.models import Customer, Role, User
from billing.free_periods import give_free_months
from billing.models import CardOnFile, FreeMonths, Invoice, Plan, Renewal, SaleConflict, Subscription
from billing.submissions import Submission, new_token
from tests.billing.renewed import BEGAN, NEXT, live, newest, on_day, pay
from tests.billing.stripe_desk import StripeDesk, mails

AsPerson = Callable[[User], Client]
TWO_LATER = date(2028, 5, 15)


def give(service: Subscription, months: int, *, by: User, **more: Any) -> FreeMonths:
    wish = {"reason": "It was down", "submission": Submission(new_token(), "", True), "by": by}
    given = give_free_months(Subscription.objects.get(pk=service.pk), months=months, **wish | more)
    must_add_up(service)
    return given


def must_add_up(service: Subscription) -> None:
    own = Subscription.objects.get(pk=service.pk)
    given = own.free_periods.filter(withdrawn_at=None).aggregate(sum=Sum("months", default=0))["sum"]
    assert own.free_months == given


def renews_on(service: Subscription) -> date:
    return Subscription.objects.get(pk=service.pk).renews_on


def upgrade(service: Subscription, *, by: User) -> None:
    own, version = Subscription.objects.get(pk=service.pk), Plan.objects.get(slug="25gb").present_version()
    assert own.change_plan(version, total_minor=own.plan_quote(version).total_minor, by=by)


def path_of(customer: Customer) -> str:
    return f"/admin/customers/{customer.username}/goodwill/"


def page_of(client: Client, path: str) -> str:
    return " ".join(client.get(path).content.decode().split())


def test_works(
    stripe: StripeDesk,
    service: Subscription,
    anna: Customer,
    visa: CardOnFile,
    alice: User,
    sam: User,
    as_: AsPerson,
) -> None:
    with on_day(NEXT - timedelta(days=30)):
        client, path = as_(sam), path_of(anna)
        assert "starts on 15 March 2028" in page_of(client, path)
        answer = client.post(f"{path}months/", {"months": "2", "reason": "It was down"})
        assert (answer.status_code, answer["Location"]) == (302, path)
        assert "2 months from 15 Mar 2028" in page_of(client, path)
        (told,) = mails("free_months.given")
        assert told.to == [alice.email]
        assert "The next renewal is on 15 May 2028" in told.body
        html = page_of(as_(alice), f"/c/{anna.username}/billing/")
        assert '2 months from <time datetime="2028-03-15">15 March 2028</time>: It was down' in html
        assert "15 May 2028" in html
    live(anna, NEXT - timedelta(days=8), NEXT + timedelta(days=2))
    assert not Renewal.objects.exists()
    live(anna, TWO_LATER - timedelta(days=8), TWO_LATER)
    renewal = newest(anna)
    assert (renewal.from_on, renewal.until_on) == (TWO_LATER, date(2029, 5, 15))
    assert renewal.settled_at
    assert stripe.kept_minor == 5900


def test_what_was_announced_is_taken_back_and_made_anew(
    service: Subscription, anna: Customer, sam: User
) -> None:
    live(anna, NEXT - timedelta(days=8), NEXT - timedelta(days=3))
    first = newest(anna)
    with on_day(NEXT - timedelta(days=3), 14):
        give(service, 2, by=sam)
        (told,) = mails("free_months.given")
    assert f"The invoice {first.label} is taken back by a credit note" in told.body
    assert Renewal.objects.get(pk=first.pk).is_over
    live(anna, NEXT - timedelta(days=2), TWO_LATER - timedelta(days=7))
    again = newest(anna)
    assert (again.number, again.from_on) == (first.number, TWO_LATER)
    assert Invoice.objects.filter(kind="credit_note").count() == 1


def test_one_that_is_paid_in_part_stays(service: Subscription, anna: Customer, sam: User) -> None:
    live(anna, NEXT - timedelta(days=8), NEXT - timedelta(days=3))
    with on_day(NEXT - timedelta(days=3), 14):
        pay(newest(anna), "20.00", by=sam)
        with pytest.raises(ValidationError, match="were paid for the renewal"):
            give(service, 2, by=sam)
    assert not FreeMonths.objects.exists()


def test_behind_a_period_that_has_begun(service: Subscription, anna: Customer, sam: User) -> None:
    live(anna, NEXT - timedelta(days=8), NEXT + timedelta(days=3))
    with on_day(NEXT + timedelta(days=3), 14):
        give(service, 1, by=sam)
        assert newest(anna).taken_back_at is None
        (told,) = mails("free_months.given")
        assert "taken back" not in told.body
        assert renews_on(service) == date(2029, 4, 15)
        pay(newest(anna), by=sam)
        (told,) = mails("renewal.paid")
    assert "15 April 2029" in told.body


def test_they_are_withdrawn_until_they_begin(
    service: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
) -> None:
    with on_day(NEXT - timedelta(days=30)):
        first, second = give(service, 1, by=sam), give(service, 2, by=sam)
        assert second.from_on == date(2028, 4, 15)
        with pytest.raises(ValidationError, match="withdraw those first"):
            first.withdraw(by=sam)
        client = as_(sam)
        page = page_of(client, path_of(anna))
        assert "Withdraw 2 months" in page
        assert "Others were given after these: withdraw those first." in page
        assert "Withdraw 1 month<" not in page
        assert client.post(f"{path_of(anna)}months/{second.pk}/withdraw/").status_code == 302
        assert "Withdraw 1 month<" in page_of(client, path_of(anna))
        assert "Withdrawn on" in page_of(client, path_of(anna))
        assert renews_on(service) == date(2028, 4, 15)
        assert not second.withdraw(by=sam)
        assert [told.to for told in mails("free_months.withdrawn")] == [[alice.email]]
    with on_day(NEXT):
        assert client.post(f"{path_of(anna)}months/{first.pk}/withdraw/").status_code in (302, 409)
        with pytest.raises(ValidationError, match="have begun"):
            first.withdraw(by=sam)
    must_add_up(service)


def test_a_change_of_plan_that_is_not_paid_comes_first(service: Subscription, alice: User, sam: User) -> None:
    with on_day(NEXT - timedelta(days=100)):
        upgrade(service, by=alice)
        with pytest.raises(SaleConflict, match="to 25 GB is not paid yet"):
            give(service, 1, by=sam)
        made = Renewal.objects.get()
        assert not made.taken_back_at
        pay(made, by=sam)
        assert give(service, 1, by=sam).withdraw(by=sam)  # the change does not cover these


def test_for_which_a_dearer_plan_was_sold_they_stay(
    service: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
) -> None:
    with on_day(NEXT - timedelta(days=100)):
        given = give(service, 12, by=sam)
        upgrade(service, by=alice)
        for paid in (False, True):
            if paid:
                pay(Renewal.objects.get(), by=sam)
            with pytest.raises(ValidationError, match="A change of plan was sold for these months"):
                given.withdraw(by=sam)
            page = page_of(as_(sam), path_of(anna))
            assert "A change of plan was sold for these months too, so they stay." in page
            assert "Withdraw 12 months" not in page
    assert renews_on(service) == date(2029, 3, 15)
    must_add_up(service)


def test_twice_is_harmless(service: Subscription, sam: User) -> None:
    once = Submission(new_token(), "", True)
    assert give(service, 1, by=sam, submission=once) == give(service, 1, by=sam, submission=once)
    assert renews_on(service) == date(2028, 4, 15)


def test_nobody_gives_themselves_months_nor_withdraws_them(
    service: Subscription, anna: Customer, sam: User, staff_of: Callable[[str], User]
) -> None:
    with on_day(NEXT - timedelta(days=30)):
        given = give(service, 1, by=staff_of("manager"))
        anna.memberships.create(user=sam, role=Role.READER)
        with pytest.raises(SaleConflict, match="You are a member"):
            give(service, 1, by=sam)
        with pytest.raises(SaleConflict, match="You are a member"):
            given.withdraw(by=sam)
    assert renews_on(service) == date(2028, 4, 15)


def test_what_has_ended_is_not_free(service: Subscription, anna: Customer, sam: User, as_: AsPerson) -> None:
    with on_day(BEGAN + timedelta(days=5)):
        service.cancel(by=sam, at_once=True)
        with pytest.raises(SaleConflict, match="has ended"):
            give(service, 1, by=sam)
        assert "No service runs" in page_of(as_(sam), path_of(anna))


@pytest.mark.parametrize("months", ["0", "13", "-1", "x", ""])
def test_what_is_wrong_says_so(anna: Customer, sam: User, as_: AsPerson, months: str) -> None:
    answer = as_(sam).post(f"{path_of(anna)}months/", {"months": months, "reason": "It was down"})
    assert answer.status_code == 422
    assert not FreeMonths.objects.exists()


@pytest.mark.parametrize("who", ["alice", "mallory"])
def test_others_get_403(anna: Customer, as_: AsPerson, who: str, request: pytest.FixtureRequest) -> None:
    client = as_(request.getfixturevalue(who))
    assert client.post(f"{path_of(anna)}months/", {"months": "1", "reason": "r"}).status_code == 403


def test_the_database_refuses_thirteen(service: Subscription, sam: User) -> None:
    facts = {"period": 1, "from_on": NEXT, "reason": "r", "by": sam}
    with pytest.raises(IntegrityError), transaction.atomic():
        service.free_periods.create(months=13, **facts)
