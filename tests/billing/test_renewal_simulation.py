"""Thirty-six months of fifty customers, and every cent of them against a table that is worked out without the panel."""

from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest

from accounts.models import Customer, Notice, User
from billing import screening
from billing.ledger import balances
from billing.models import Account, Invoice, Order, Renewal
from tests.billing.conftest import fresh
from tests.billing.coupons import coupon
from tests.billing.renewed import begin, newest, on_day, pay, sweep_all
from tests.billing.stripe_desk import StripeDesk, save_card
from tests.faults import Dice, kills, report

FIRST = date(2027, 1, 1)
CUSTOMERS, MONTHS = kills(5, 50), kills(8, 36)
PRICES = {"monthly": 590, "yearly": 5900}
# Per cent, cents, and of how many periods these are taken off; the codes are in the orders.
COUPONS = {"": (0, 0, 0), "TWENTY-OFF": (20, 0, 3), "ONE-DOLLAR": (0, 100, 1), "FOR-EVER": (0, 55, 9**9)}
GOOD, DECLINES = "4242424242424242", "4000000000000341"


class Life(NamedTuple):
    """One customer: since when, by which period, in which country, and in which of their periods the card is declined,
    and how many days later they pay then.
    """

    began: date
    period: str
    country: str
    declined_in: int | None
    pays_after: int
    coupon: str


def lives(rng: Dice) -> list[Life]:
    return [
        Life(
            FIRST + timedelta(days=rng.randrange(60)),
            rng.choice(["monthly", "monthly", "yearly"]),
            rng.choice(["DE", "FR", "US"]),
            rng.choice([None, 1, 2, 3]),
            rng.choice([2, 6, 9, 13, 20]),
            rng.choice(list(COUPONS)),
        )
        for _ in range(CUSTOMERS)
    ]


def expected(life: Life, until: date) -> tuple[int, int, list[date]]:
    """By hand: what is sold without tax and the tax on it, in cents, and the first days of all periods."""
    rate = {"DE": 19, "FR": 20, "US": 0}[life.country]
    price, months = PRICES[life.period], 1 if life.period == "monthly" else 12
    ahead = 3 if life.period == "monthly" else 7
    starts, number = [life.began], 1
    while True:
        month = life.began.month - 1 + number * months
        year, month = life.began.year + month // 12, month % 12 + 1
        start = date(year, month, min(life.began.day, monthrange(year, month)[1]))
        if start - timedelta(days=ahead) > until:
            nets = [net_of(price, life.coupon, each) for each in range(len(starts))]
            return sum(nets), sum((net * rate + 50) // 100 for net in nets), starts
        starts.append(start)
        number += 1


def net_of(price: int, coupon: str, number: int) -> int:
    """By hand: what this period costs without tax, in cents."""
    percent, cents, periods = COUPONS[coupon]
    return price - (price * percent + 50) // 100 - cents if number < periods else price


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
    plans: dict[Customer, Life] = {}
    cards: dict[Customer, Any] = {}
    for code, (percent, cents, periods) in COUPONS.items():
        if code:
            more = {"amount_minor": cents} if cents else {"percent": percent}
            coupon(code, periods=periods if periods < 9 else None, once_each=False, **more)
    with on_day(FIRST):
        for life in lives(rng):
            order = ordered(period=life.period, country=life.country, postcode="75001", coupon=life.coupon)
            screening.check_order(order.pk)
            fresh(order).approve("", by=sam)
            customer = begin(order, on=life.began, by=sam, period=life.period).customer
            plans[customer], cards[customer] = life, save_card(stripe, customer, alice)
    day, last = FIRST, FIRST + timedelta(days=MONTHS * 30)
    while day <= last:
        with on_day(day):
            for customer, life in plans.items():
                if life.declined_in is None:
                    continue
                due_on = expected(life, last)[2][life.declined_in : life.declined_in + 1]
                if due_on and day == due_on[0] - timedelta(days=1):
                    stripe.change(cards[customer], number=DECLINES)
                if due_on and day == due_on[0] + timedelta(days=life.pays_after):
                    stripe.change(cards[customer], number=GOOD)
                    if newest(customer).is_open:
                        pay(newest(customer), by=sam)
            sweep_all()
        day += timedelta(days=1)
    for customer, life in plans.items():
        net, tax, starts = expected(life, last)
        sums = balances(customer)["USD"]
        assert (-sums[Account.REVENUE], -sums[Account.TAX]) == (net, tax), life
        renewals = Renewal.objects.filter(subscription__customer=customer).order_by("number")
        assert [renewal.from_on for renewal in renewals] == starts[1:], life
        still_open = [renewal for renewal in renewals if renewal.is_open]
        assert sums[Account.RECEIVABLE] == sum(renewal.due_minor for renewal in still_open)
        assert sums[Account.CARDS] + sums[Account.BANK] == net + tax - sums[Account.RECEIVABLE]
        assert all(renewal.from_on > last - timedelta(days=25) for renewal in still_open), life
        assert sums[Account.CREDIT] == 0
    cash = sum(balances(customer)["USD"][Account.CARDS] for customer in plans)
    assert stripe.kept_minor == cash
    assert Notice.objects.filter(kind="renewal.coming").count() == Renewal.objects.count()
    numbers = sorted(Invoice.objects.filter(kind="invoice").values_list("number", flat=True))
    assert len(numbers) == len(set(numbers)) == Renewal.objects.count() + CUSTOMERS
    report("simulation", rng, customers=CUSTOMERS, months=MONTHS, renewals=Renewal.objects.count())
