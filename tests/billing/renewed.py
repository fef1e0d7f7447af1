"""A service that runs, and a clock for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta

import time_machine
from django.utils import timezone

from accounts.models import Customer, User
from billing import renewing
from billing.models import Order, Period, Renewal, Sale, Subscription
from billing.money import parse_amount
from billing.submissions import Submission, new_token

BEGAN = date(2027, 3, 15)
NEXT = date(2028, 3, 15)  # when a yearly service is renewed


def begin(order: Order, *, on: date, by: User, period: str = Period.YEARLY) -> Subscription:
    """The service of this unpaid order, which began on that day with this period."""
    pay(order, by=by)
    began = timezone.make_aware(datetime.combine(on, time(12)))
    Subscription.objects.filter(order=order).update(started_at=began, period=period, next_step_at=began)
    return Subscription.objects.get(order=order)


@contextmanager
def on_day(day: date, hours: float = 12) -> Iterator[None]:
    """As if so many hours of that day were over."""
    midnight = timezone.make_aware(datetime.combine(day, time()))
    with time_machine.travel(midnight + timedelta(hours=hours), tick=True):
        yield


def live(customer: Customer, first: date, last: date) -> None:
    """Let the sweep run at noon of each of these days."""
    for number in range((last - first).days + 1):
        with on_day(first + timedelta(days=number)):
            sweep(customer)


def sweep(customer: Customer) -> None:
    for subscription_id in renewing.due_subscriptions():
        if customer.subscriptions.filter(pk=subscription_id).exists():
            renewing.work_subscription(subscription_id)


def sweep_all() -> None:
    for subscription_id in renewing.due_subscriptions():
        renewing.work_subscription(subscription_id)


def newest(customer: Customer) -> Renewal:
    return Renewal.objects.filter(subscription__customer=customer).order_by("-number", "-made_at")[0]


def pay(sale: Sale, amount: str = "", *, by: User) -> None:
    """Record a bank transfer over what is due, or a part."""
    sale = type(sale).objects.get(pk=sale.pk)
    sale.record_payment(
        method="bank_transfer",
        reference="R1",
        amount_minor=parse_amount(amount or sale.due_amount, sale.currency),
        currency=sale.currency,
        submission=Submission(new_token(), "", True),
        by=by,
    )
