"""Thirty-six months of fifty customers with coupons, declined cards, changes of plan and of period, and refunds, and every
cent of them against a table that is worked out without the panel.
"""

from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from time import perf_counter
from typing import Any, NamedTuple

import pytest

from accounts.models import Customer, Notice, User
from billing import card_refunds, screening
from billing.ledger import balances
from billing.models import Account, CardOnFile, Invoice, Order, Period, Plan, Renewal, RenewalKind
from billing.submissions import Submission, new_token
from tests.billing.conftest import fresh
from tests.billing.coupons import coupon
from tests.billing.renewed import begin, newest, on_day, pay, sweep_all
from tests.billing.stripe_desk import StripeDesk, save_card
from tests.faults import Dice, kills, report

FIRST = date(2027, 1, 1)
CUSTOMERS, MONTHS = kills(5, 50), kills(8, 36)
LAST = FIRST + timedelta(days=MONTHS * 30)
PRICES = {"10gb": {"monthly": 590, "yearly": 5900}, "25gb": {"monthly": 990, "yearly": 9900}}
OTHER = {"monthly": "yearly", "yearly": "monthly"}
LONG = {"monthly": 1, "yearly": 12}
AHEAD = {"monthly": timedelta(days=3), "yearly": timedelta(days=7)}
RATES = {"DE": 19, "FR": 20, "US": 0}
GOOD, DECLINES = "4242424242424242", "4000000000000341"


class Life(NamedTuple):
    """One customer: since when, by which period, in which country. In which of their periods the card is declined, and how
    many days later they pay then; in which, and after how many days of it, they take the larger plan, and then the smaller
    one again; of which how much is sent back. Whether they plan at its start to pay by the other period, which begins with
    period 1. Periods are counted from 0, that of the order.
    """

    began: date
    period: str
    country: str
    coupon_periods: int
    declined_in: int
    pays_after: int
    larger_in: int
    smaller_in: int
    changes_after: int
    sent_back_in: int
    sent_back: int
    turns: bool

    def period_of(self, number: int) -> str:
        """By which this one is paid."""
        return OTHER[self.period] if self.turns and number else self.period

    def starts(self, number: int) -> date:
        """The first day of a period."""
        month = self.began.month - 1 + sum(LONG[self.period_of(each)] for each in range(number))
        year, month = self.began.year + month // 12, month % 12 + 1
        return date(year, month, min(self.began.day, monthrange(year, month)[1]))

    def day_in(self, number: int) -> date:
        """When the plan is changed in a period."""
        return self.starts(number) + timedelta(days=self.changes_after)


def lives(rng: Dice) -> list[Life]:
    found = []
    for _ in range(CUSTOMERS):
        period = rng.choice(["monthly", "monthly", "yearly"])
        turns = rng.choice([True, False])
        few = 7 if (period == "monthly") != turns else 3
        declined, larger, sent_back = rng.sample(range(1, few), min(3, few - 1)) + [few] * (
            3 - min(3, few - 1)
        )
        smaller = larger + rng.randint(1, 9)
        found.append(
            Life(
                FIRST + timedelta(days=rng.randrange(60)),
                period,
                rng.choice([*RATES]),
                rng.choice([0, 1, 2, 5]),
                declined,
                rng.choice([2, 6, 9, 13, 20]),
                larger,
                smaller + (smaller == declined),  # while a period is not paid the plan stays as it is
                rng.randint(5, 20),
                sent_back,
                rng.choice([100, 333, 472]),
                turns,
            )
        )
    return found


def half_up(exact: Fraction) -> int:
    return int(exact + Fraction(1, 2))


class Expected(NamedTuple):
    """What was sold less what was taken back, without tax and the tax, in minor units; and the first days of all periods."""

    net: int
    tax: int
    starts: list[date]


def expected(life: Life) -> Expected:
    """By hand."""
    rate, plan, sales, starts = Fraction(RATES[life.country], 100), "10gb", [], []
    number = 0
    while not starts or life.starts(number) - AHEAD[life.period_of(number)] <= LAST:
        start, end = life.starts(number), life.starts(number + 1)
        starts.append(start)
        price = PRICES[plan][life.period_of(number)]
        net = price - (half_up(Fraction(price * 20, 100)) if number < life.coupon_periods else 0)
        sales.append((net, half_up(net * rate)))
        day = life.day_in(number)
        if number == life.sent_back_in and day <= LAST:
            total = net + half_up(net * rate)
            tax = half_up(Fraction(life.sent_back * half_up(net * rate), total))
            sales.append((tax - life.sent_back, -tax))
        if number == life.larger_in and day <= LAST:
            more = PRICES["25gb"][life.period_of(number)] - price
            net = half_up(Fraction(more * (end - day).days, (end - start).days))
            sales.append((net, half_up(net * rate)))
            plan = "25gb"
        if number == life.smaller_in and plan == "25gb" and day <= LAST:
            plan = "10gb"
        number += 1
    return Expected(sum(net for net, _ in sales), sum(tax for _, tax in sales), starts)


class Desk(NamedTuple):
    """Who acts: a member of the customers, and staff."""

    stripe: StripeDesk
    alice: User
    sam: User


def live_a_day(desk: Desk, day: date, customer: Customer, life: Life, card: CardOnFile) -> None:
    """What the customer and their bank do on this day."""
    if day == life.starts(life.declined_in) - timedelta(days=1):
        desk.stripe.change(card, number=DECLINES)
    if day == life.starts(life.declined_in) + timedelta(days=life.pays_after):
        desk.stripe.change(card, number=GOOD)
        if newest(customer).is_open:
            pay(newest(customer), by=desk.sam)
    if life.turns and day == life.began + timedelta(days=2):
        service, period = customer.subscriptions.get(), Period(OTHER[life.period])
        total = service.period_quote(period).total_minor
        assert service.change_period(period, total_minor=total, by=desk.alice)
    for number, slug in ((life.larger_in, "25gb"), (life.smaller_in, "10gb")):
        if day == life.day_in(number):
            service, version = customer.subscriptions.get(), Plan.objects.get(slug=slug).present_version()
            service.change_plan(version, total_minor=service.plan_quote(version).total_minor, by=desk.alice)
    if day == life.day_in(life.sent_back_in):
        renewal = Renewal.objects.get(
            subscription__customer=customer, number=life.sent_back_in, kind=RenewalKind.PERIOD
        )
        renewal.refund(
            way="card", amount_minor=life.sent_back, reason="It was slow",
            submission=Submission(new_token(), "", True), by=desk.sam,
        )  # fmt: skip


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_every_cent(
    stripe: StripeDesk,
    taxed: Any,
    ordered: Callable[..., Order],
    alice: User,
    sam: User,
    settings: Any,
    rng: Dice,
) -> None:
    settings.FRAUDRECORD_API_KEY, settings.SELLER_COUNTRY = "", "DE"
    desk, plans = Desk(stripe, alice, sam), {}
    with on_day(FIRST):
        for months in (1, 2, 5):
            coupon(f"OFF-{months}", periods=months, once_each=False)
        for life in lives(rng):
            code = f"OFF-{life.coupon_periods}" if life.coupon_periods else ""
            order = ordered(period=life.period, country=life.country, postcode="75001", coupon=code)
            screening.check_order(order.pk)
            fresh(order).approve("", by=sam)
            customer = begin(order, on=life.began, by=sam, period=life.period).customer
            plans[customer] = (life, save_card(stripe, customer, alice))
    day, began = FIRST, perf_counter()
    while day <= LAST:
        with on_day(day):
            for customer, (life, card) in plans.items():
                live_a_day(desk, day, customer, life, card)
            sweep_all()
            for refund in card_refunds.due_refunds():
                card_refunds.send_card_refund(refund)
        day += timedelta(days=1)
    seconds = round(perf_counter() - began, 1)
    for customer, (life, _) in plans.items():
        sold, sums = expected(life), balances(customer)["USD"]
        assert (-sums[Account.REVENUE], -sums[Account.TAX]) == (sold.net, sold.tax), life
        renewals = Renewal.objects.filter(subscription__customer=customer).order_by("number")
        periods = renewals.filter(kind=RenewalKind.PERIOD, taken_back_at=None)
        assert [renewal.from_on for renewal in periods] == sold.starts[1:], life
        still_open = [renewal for renewal in renewals if renewal.is_open]
        assert sums[Account.RECEIVABLE] == sum(renewal.due_minor for renewal in still_open)
        assert sums[Account.CARDS] + sums[Account.BANK] == sold.net + sold.tax - sums[Account.RECEIVABLE]
        assert all(renewal.from_on > LAST - timedelta(days=25) for renewal in still_open), life
        assert sums[Account.CREDIT] == 0
    cash = sum(balances(customer)["USD"][Account.CARDS] for customer in plans)
    assert stripe.kept_minor == cash
    assert Notice.objects.filter(kind="renewal.coming").count() == Renewal.objects.count()
    numbers = sorted(Invoice.objects.filter(kind="invoice").values_list("number", flat=True))
    assert len(numbers) == len(set(numbers)) == Renewal.objects.count() + CUSTOMERS
    report(
        "simulation",
        rng,
        customers=CUSTOMERS,
        months=MONTHS,
        renewals=Renewal.objects.count(),
        seconds=seconds,
    )
