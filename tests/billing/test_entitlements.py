"""What a customer may use, and what it uses."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Customer, User
from billing import entitlements
from billing.entitlements import Feature, limit
from billing.models import Order, Subscription
from tests.billing.conftest import pay
from tests.plans import sell_as


def test_nothing_without_a_service(other: Customer) -> None:
    assert [limit(other, feature) for feature in Feature] == [0, 0, 0, 0]


@pytest.mark.odd_rows
def test_the_plan_s_limits_while_the_service_runs(unpaid: Order, sam: User) -> None:
    customer = unpaid.customer
    assert limit(customer, Feature.STORAGE_MB) == 0
    pay(unpaid, "59.00", by=sam)
    assert limit(customer, Feature.STORAGE_MB) == 10240
    assert limit(customer, Feature.DOMAINS) is None
    assert limit(customer, Feature.SENDS_PER_DAY) == 9600
    sell_as(customer, mailboxes=5)
    assert limit(customer, Feature.MAILBOXES) == 5
    Subscription.objects.update(ended_at=timezone.now())
    assert limit(customer, Feature.STORAGE_MB) == 0


def test_one_query(acme: Customer, django_assert_num_queries: Callable) -> None:
    with django_assert_num_queries(1):
        limit(acme, Feature.MAILBOXES)


def test_usage_keeps_the_newest_report(acme: Customer) -> None:
    now = timezone.now()
    assert entitlements.usage_report(acme)[0] == 0
    assert entitlements.report_usage(acme, 100, now)
    assert not entitlements.report_usage(acme, 50, now - timedelta(minutes=1))
    assert entitlements.usage_report(acme)[0] == 100
    assert entitlements.report_usage(acme, 2**40, now + timedelta(minutes=1))
    assert entitlements.usage_report(acme)[0] == 2**40
