"""Renewals with a coupon: cheaper for as long as was promised, on invoices, in the ledger and at Stripe alike."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Customer, Notice, User
from billing import invoicing
from billing.books import revenue
from billing.ledger import balances
from billing.models import Account, Coupon, CouponUse, Order, Plan, Renewal, Subscription
from billing.models.billing_details import ADDRESS, change_details, details_of
from foundation.unit_of_work import unit_of_work
from tests.billing.conftest import check, fresh
from tests.billing.coupons import coupon
from tests.billing.renewed import BEGAN, NEXT, begin, live, newest, on_day, pay
from tests.billing.stripe_desk import StripeDesk, mails, save_card

AsPerson = Callable[[User], Client]


@pytest.fixture
def begun(
    ordered: Callable[..., Order], alice: User, sam: User, settings: Any
) -> Callable[..., Subscription]:
    """A service that was ordered with this coupon."""
    settings.FRAUDRECORD_API_KEY = ""

    def make(made: Coupon, period: str = "yearly") -> Subscription:
        order = check(ordered(coupon=made.code, period=period))
        order.approve("", by=sam)
        return begin(fresh(order), on=BEGAN, by=sam, period=period)

    return make


def totals(customer: Customer) -> list[int]:
    return [
        each.total_minor
        for each in Renewal.objects.filter(subscription__customer=customer).order_by("number")
    ]


class TestWorks:
    def test_as_many_as_were_promised_and_not_one_more(
        self, stripe: StripeDesk, taxed: Any, begun: Callable[..., Subscription], alice: User
    ) -> None:
        made = coupon(periods=3)
        anna = begun(made, "monthly").customer
        save_card(stripe, anna, alice)
        Coupon.objects.update(percent=90, periods=1, is_active=False)  # what was promised stays
        live(anna, BEGAN, date(2027, 6, 16))
        # 5.90, 20 % off: 4.72 and 19 % of that, which is 0.90
        assert totals(anna) == [562, 562, 702]
        assert stripe.kept_minor == 562 + 562 + 702
        sums = balances(anna)["USD"]
        assert (sums[Account.REVENUE], sums[Account.TAX]) == (-472 * 3 - 590, -90 * 3 - 112)
        first = Renewal.objects.earliest("number").invoice
        assert first
        assert [(line.text, line.net_minor, line.tax_minor) for line in first.said.lines] == [
            ("10 GB, monthly", 590, 112), ("Coupon SPRING-20, 20 %", -118, -22)
        ]  # fmt: skip
        assert len(newest(anna).invoice.said.lines) == 1

    def test_for_ever(self, stripe: StripeDesk, begun: Callable[..., Subscription], alice: User) -> None:
        anna = begun(coupon(amount_minor=100, periods=None), "monthly").customer
        save_card(stripe, anna, alice)
        live(anna, BEGAN, date(2027, 7, 16))
        assert totals(anna) == [490] * 4

    def test_the_page_says_for_how_long_and_what_comes_next(
        self,
        taxed: Any,
        begun: Callable[..., Subscription],
        alice: User,
        as_: AsPerson,
        django_assert_max_num_queries: Any,
    ) -> None:
        anna = begun(coupon(periods=3)).customer
        with on_day(BEGAN + timedelta(days=1)):
            client = as_(alice)
            with django_assert_max_num_queries(10):
                answer = client.get(f"/c/{anna.username}/billing/")
            html = " ".join(answer.content.decode().split())
        assert "Coupon SPRING-20, 20 %: for 2 more years" in html
        assert "for 56.17 USD, instead of 59.00 USD without tax (47.20 USD and VAT 19%)" in html
        assert "Use a coupon" not in html
        assert "Remove the coupon" not in html


def test_the_mail_says_it(
    stripe: StripeDesk, begun: Callable[..., Subscription], alice: User, sam: User
) -> None:
    anna = begun(coupon()).customer
    live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=7))
    with on_day(NEXT - timedelta(days=7)):
        Notice.objects.update(next_attempt_at=timezone.now())
        (message,) = mails("renewal.coming")
    assert "Coupon SPRING-20, 20 %: 11.80 USD off 59.00 USD" in message.body


def test_other_tax_is_on_the_lower_price(
    taxed: Any, begun: Callable[..., Subscription], alice: User, sam: User
) -> None:
    anna = begun(coupon()).customer
    live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=7))
    renewal = newest(anna)
    assert renewal.total_minor == 5617
    address = {field: getattr(details_of(anna), field) for field in ADDRESS}
    with on_day(NEXT - timedelta(days=6)):
        with unit_of_work():
            change_details(anna, {**address, "country": "FR", "postcode": "75001"}, by=alice)
        renewal = newest(anna)
        assert (renewal.amount_minor, renewal.discount_minor, renewal.tax_minor) == (4720, 1180, 944)
        pay(renewal, by=sam)
    assert newest(anna).settled_at


def test_a_part_of_it_is_credited_to_the_cent(
    taxed: Any, begun: Callable[..., Subscription], sam: User
) -> None:
    begun(coupon())
    order = Order.objects.get()
    assert order.invoice
    with unit_of_work():
        part = invoicing.credit(order.invoice, 1234)
        rest = invoicing.credit(order.invoice)
    assert part
    assert rest
    assert (part.net_minor, part.tax_minor) == (1037, 197)
    assert (rest.net_minor, rest.tax_minor) == (4720 - 1037, 897 - 197)


def test_a_plan_or_price_that_it_does_not_fit_costs_its_full_price(
    begun: Callable[..., Subscription], alice: User, as_: AsPerson
) -> None:
    service = begun(coupon(amount_minor=1000, periods=None, plans=("10gb",)))
    assert service.price_of(1, service.version)["amount_minor"] == 4900
    service.amount_minor = 1000
    assert service.price_of(1, service.version)["amount_minor"] == 1000
    other = Plan.objects.get(slug="25gb").present_version()
    assert service.price_of(1, other) == {
        "amount_minor": 9900, "discount_minor": 0, "coupon_use": None, "currency": "USD",
    }  # fmt: skip
    Subscription.objects.update(amount_minor=1000)
    html = as_(alice).get(f"/c/{service.customer.username}/billing/").content.decode()
    assert "but not for this plan or price" in html


def test_who_cancels_and_goes_on_keeps_it(begun: Callable[..., Subscription], alice: User) -> None:
    service = begun(coupon())
    live(service.customer, NEXT - timedelta(days=7), NEXT - timedelta(days=7))
    with on_day(NEXT - timedelta(days=6)):
        service.cancel(by=alice)
        service.go_on(by=alice)
    live(service.customer, NEXT - timedelta(days=5), NEXT - timedelta(days=5))
    assert [each.discount_minor for each in Renewal.objects.all()] == [1180, 1180]
    assert CouponUse.objects.get().given_back_at is None


def test_a_change_of_plan_costs_the_difference_of_the_full_prices_and_the_next_period_is_cheaper(
    begun: Callable[..., Subscription], alice: User, sam: User
) -> None:
    service = begun(coupon())
    larger = Plan.objects.get(slug="25gb").present_version()
    with on_day(BEGAN):
        quote = service.plan_quote(larger)
        assert quote.total_minor == 9900 - 5900
        service.change_plan(larger, total_minor=4000, by=alice)
        pay(newest(service.customer), by=sam)
    live(service.customer, NEXT - timedelta(days=7), NEXT - timedelta(days=7))
    renewal = newest(service.customer)
    assert (renewal.amount_minor, renewal.discount_minor) == (7920, 1980)


def test_who_comes_back_has_it_as_long_as_was_promised(
    begun: Callable[..., Subscription], alice: User, sam: User
) -> None:
    service = begun(coupon())
    with on_day(NEXT - timedelta(days=30)):
        service.cancel(by=alice)
    live(service.customer, NEXT, NEXT)
    with on_day(NEXT + timedelta(days=1)):
        ended = Subscription.objects.get()
        assert ended.return_quote().total_minor == 4720
        ended.come_back(total_minor=4720, by=alice)
        pay(newest(service.customer), by=sam)
    renewal = newest(service.customer)
    assert (renewal.kind, renewal.amount_minor, renewal.discount_minor) == ("return", 4720, 1180)
    assert Subscription.objects.get().ended_at is None


def test_recurring_revenue_is_before_coupons(begun: Callable[..., Subscription]) -> None:
    """They run out: a service is worth as much before as after."""
    begun(coupon(), "monthly")
    with on_day(date(2027, 4, 1)):
        april, march, *_ = revenue.months()
    assert (march.new, march.minor, april.minor, april.changed) == (590, 590, 590, 0)
