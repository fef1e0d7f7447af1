"""What another customer has changes nothing of what this one sees and does, nor is it touched by that."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Customer, User
from billing import screening
from billing.models import CardOnFile, FreeMonths, Order, Plan, Subscription
from tests.billing.conftest import fresh
from tests.billing.coupons import coupon
from tests.billing.renewed import BEGAN, NEXT, begin, live, on_day
from tests.billing.test_credit_grant import grant
from tests.billing.test_free_months_give import page_of

AsPerson = Callable[[User], Client]
SOON = NEXT - timedelta(days=30)


@pytest.fixture
def neighbour(service: Subscription, ordered: Callable[..., Order], mallory: User, sam: User) -> Subscription:
    """Another customer's, which began a day later."""
    order = ordered(by=mallory, name="Nora Neighbour", plan="25gb")
    screening.check_order(order.pk)
    fresh(order).approve("", by=sam)
    return begin(fresh(order), on=BEGAN + timedelta(days=1), by=sam)


def again(service: Subscription) -> Subscription:
    return Subscription.objects.get(pk=service.pk)


def plan_less(service: Subscription, by: User) -> None:
    version = Plan.objects.get(slug="10gb").present_version()
    assert again(service).change_plan(version, total_minor=0, by=by)


def path(name: str, customer: Customer, *more: Any) -> str:
    return reverse(f"billing:{name}", args=[customer.username, *more])


def test_a_coupon_is_for_ones_own_service(
    service: Subscription, neighbour: Subscription, anna: Customer, alice: User, as_: AsPerson
) -> None:
    coupon(periods=2)
    with on_day(SOON):
        client = as_(alice)
        client.post(path("coupon-use", anna), {"coupon": "spring-20"})
        assert again(service).coupon_use
        client.post(path("coupon-drop", anna))
        assert not again(service).coupon_use


def test_what_one_planned_is_taken_back_and_nothing_else(
    service: Subscription, neighbour: Subscription, anna: Customer, alice: User, mallory: User, as_: AsPerson
) -> None:
    with on_day(SOON):
        plan_less(neighbour, mallory)
        assert as_(alice).post(path("plan-keep", anna)).status_code == 302
        assert again(neighbour).planned_change


def test_nobody_lets_anothers_service_go_on(
    service: Subscription, neighbour: Subscription, anna: Customer, alice: User, mallory: User, as_: AsPerson
) -> None:
    with on_day(SOON):
        for each, by in ((service, alice), (neighbour, mallory)):
            again(each).cancel(by=by)
        as_(alice).post(path("subscription-go-on", anna))
    assert not again(service).cancellation
    assert again(neighbour).cancellation


@pytest.mark.parametrize("is_over", [False, True])
def test_who_comes_back_has_their_own_service(
    service: Subscription,
    neighbour: Subscription,
    anna: Customer,
    alice: User,
    mallory: User,
    as_: AsPerson,
    is_over: bool,
) -> None:
    """What they are shown is its price, whether the other runs or ended later."""
    with on_day(SOON):
        again(service).cancel(by=alice, at_once=True)
    if is_over:
        with on_day(SOON, 15):
            again(neighbour).cancel(by=mallory, at_once=True)
    with on_day(SOON + timedelta(days=1)):
        client, quote = as_(alice), again(service).return_quote()
        page = page_of(client, path("billing-show", anna))
        assert "10 GB" in page
        assert "25 GB" not in page
        client.post(path("subscription-come-back", anna), {"total_minor": quote.total_minor})
        assert again(service).ended_at is None
        assert bool(again(neighbour).ended_at) == is_over


def test_what_is_to_be_paid_to_come_back_is_ones_own(
    service: Subscription,
    neighbour: Subscription,
    anna: Customer,
    alice: User,
    mallory: User,
    as_: AsPerson,
) -> None:
    for each, by in ((neighbour, mallory), (service, alice)):
        with on_day(SOON):
            again(each).cancel(by=by)
        live(each.customer, NEXT, NEXT + timedelta(days=1))
        with on_day(NEXT + timedelta(days=2)):
            total = again(each).return_quote().total_minor
            as_(by).post(path("subscription-come-back", each.customer), {"total_minor": total})
    with on_day(NEXT + timedelta(days=3)):
        page = page_of(as_(alice), path("billing-show", anna))
    renewal = again(service).open_renewal
    assert renewal
    assert f"the moment the invoice {renewal.label} is paid" in page
    assert "99.00 USD" not in page


def test_credits_are_ones_own(
    service: Subscription, neighbour: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
) -> None:
    with on_day(SOON):
        grant(anna, 2000, by=sam)
        grant(neighbour.customer, 2000, by=sam, reason="Only theirs")
        page = page_of(as_(alice), path("billing-show", anna))
        assert "20.00 USD of a credit from" in page
        assert "Only theirs" not in page


def test_no_card_is_needed_for_anothers_service(
    service: Subscription,
    neighbour: Subscription,
    anna: Customer,
    visa: CardOnFile,
    alice: User,
    as_: AsPerson,
) -> None:
    with on_day(SOON):
        again(service).cancel(by=alice, at_once=True)
        assert "25 GB" not in page_of(as_(alice), path("card-remove", anna, visa.pk))
        assert as_(alice).post(path("card-remove", anna, visa.pk)).status_code == 302
    visa.refresh_from_db()
    assert visa.removed_at


def test_staff_give_and_take_back_what_is_this_customers(
    service: Subscription, neighbour: Subscription, anna: Customer, sam: User, as_: AsPerson
) -> None:
    with on_day(SOON):
        theirs, client = grant(neighbour.customer, 2000, by=sam), as_(sam)
        assert client.post(path("credit-take-back", anna, theirs.pk)).status_code == 404
        assert theirs in neighbour.customer.credit_grants.some_left()
        client.post(path("free-months-give", anna), {"months": "2", "reason": "It was down"})
        assert FreeMonths.objects.get().subscription == service


@pytest.mark.odd_rows
def test_staff_see_the_money_of_this_customer(
    service: Subscription, neighbour: Subscription, anna: Customer, sam: User, as_: AsPerson
) -> None:
    """The other's is in another currency, and that of their service, too."""
    with on_day(SOON):
        grant(neighbour.customer, 2000, by=sam, currency="EUR")
        Subscription.objects.filter(pk=neighbour.pk).update(currency="EUR")
        Order.objects.filter(customer=neighbour.customer).update(currency="EUR")
        for name in ("goodwill-show", "customer-ledger"):
            page = page_of(as_(sam), path(name, anna))
            assert "USD" in page
            assert "EUR" not in page
        Subscription.objects.filter(pk=service.pk).delete()
        page = page_of(as_(sam), path("goodwill-show", anna))
        assert "EUR" not in page
        assert "25 GB" not in page


def test_the_invoice_of_an_order_is_no_renewals(
    service: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
) -> None:
    live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=6))
    of_order = anna.invoices.get(renewal=None).number
    of_renewal = anna.invoices.get(order=None).number
    for number, status in ((of_order, 404), (of_renewal, 200)):
        assert as_(sam).get(reverse("billing:renewal-show", args=[number])).status_code == status
    assert as_(alice).post(path("invoice-pay", anna, of_order)).status_code == 404
