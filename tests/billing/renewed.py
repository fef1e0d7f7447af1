"""A service that runs, and a clock for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta

import time_machine
from django.utils import timezone

from accounts.models import Customer, User
from billing import renewing
from billing.models import Order, Period, Renewal, Subscription
from tests.billing.conftest import fresh, pay


def begin(order: Order, *, on: date, by: User, period: str = Period.YEARLY) -> Subscription:
    """The service of this unpaid order, which began on that day with this period."""
    pay(order, fresh(order).due_amount, by=by)
    began = timezone.make_aware(datetime.combine(on, time(12)))
    Subscription.objects.filter(order=order).update(started_at=began, period=period, next_step_at=began)
    return Subscription.objects.get(order=order)


@contextmanager
def on_day(day: date) -> Iterator[None]:
    """As if it were noon of that day."""
    with time_machine.travel(timezone.make_aware(datetime.combine(day, time(12))), tick=True):
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


def newest(customer: Customer) -> Renewal:
    return Renewal.objects.filter(subscription__customer=customer).order_by("-number")[0]
