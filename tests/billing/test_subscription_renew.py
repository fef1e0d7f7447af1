"""Renewing a service: announced ahead, charged on the day, once, from an anchor that does not wander."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry, Customer, Notice, User
from billing import renewing
from billing.ledger import balances
from billing.models import Account, CardOnFile, InvoiceStatus, Order, Payment, Plan, Renewal, Subscription
from billing.periods import period_start
from tests.billing.renewed import NEXT, begin, live, newest, on_day, sweep
from tests.billing.stripe_desk import StripeDesk, save_card


@pytest.mark.parametrize(
    ("anchor", "period", "starts"),
    [
        (
            date(2026, 1, 31),
            "monthly",
            ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"],
        ),
        (date(2028, 1, 30), "monthly", ["2028-01-30", "2028-02-29", "2028-03-30"]),
        (date(2026, 11, 15), "monthly", ["2026-11-15", "2026-12-15", "2027-01-15"]),
        (date(2028, 2, 29), "yearly", ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]),
    ],
)
def test_periods_begin_on_the_anchor(anchor: date, period: str, starts: list[str]) -> None:
    assert [period_start(anchor, period, n).isoformat() for n in range(len(starts))] == starts


class TestWorks:
    def test_nothing_happens_before_its_time(
        self, service: Subscription, visa: CardOnFile, anna: Customer
    ) -> None:
        live(anna, NEXT - timedelta(days=10), NEXT - timedelta(days=8))
        assert not Renewal.objects.exists()
        service.refresh_from_db()
        assert service.next_step_at
        assert service.next_step_at.date() == NEXT - timedelta(days=7)

    def test_the_invoice_comes_a_week_ahead(
        self, service: Subscription, visa: CardOnFile, anna: Customer
    ) -> None:
        live(anna, NEXT - timedelta(days=8), NEXT - timedelta(days=1))
        renewal = newest(anna)
        assert (renewal.from_on, renewal.until_on, renewal.total_minor) == (NEXT, date(2029, 3, 15), 5900)
        invoice = renewal.invoice
        assert invoice
        assert (invoice.issued_on, invoice.due_on) == (NEXT - timedelta(days=7), NEXT)
        (line,) = invoice.said.lines
        assert (line.text, line.days) == ("10 GB, yearly", "15 March 2028 to 14 March 2029")
        assert not renewal.charges.exists()
        assert Notice.objects.filter(kind="renewal.coming", subject_id=str(invoice.pk)).count() == 1
        assert not Notice.objects.filter(kind="invoice.issued", subject_id=str(invoice.pk)).exists()

    def test_the_card_is_charged_on_the_day(
        self, stripe: StripeDesk, service: Subscription, visa: CardOnFile, anna: Customer
    ) -> None:
        live(anna, NEXT - timedelta(days=8), NEXT)
        renewal, payment = newest(anna), Payment.objects.get(renewal__isnull=False)
        assert (payment.amount_minor, payment.card, payment.customer_id) == (5900, "Visa 4242", anna.pk)
        assert renewal.settled_at
        assert stripe.kept_minor == 5900
        assert stripe.charges == 1
        assert renewal.invoice
        assert renewal.invoice.status == InvoiceStatus.PAID
        assert balances(anna)["USD"][Account.CARDS] == 5900
        assert Notice.objects.filter(kind="renewal.paid", subject_id=str(renewal.pk)).count() == 1
        service.refresh_from_db()
        assert (service.periods, service.renews_on) == (2, date(2029, 3, 15))
        assert service.next_step_at
        assert service.next_step_at.date() == date(2029, 3, 8)

    def test_months_follow_each_other(
        self, stripe: StripeDesk, unpaid: Order, alice: User, sam: User
    ) -> None:
        anna = begin(unpaid, on=date(2027, 1, 31), by=sam, period="monthly").customer
        with on_day(date(2027, 1, 31)):
            save_card(stripe, anna, alice)
        live(anna, date(2027, 1, 31), date(2027, 5, 1))
        starts = [each.from_on.isoformat() for each in Renewal.objects.order_by("number")]
        assert starts == ["2027-02-28", "2027-03-31", "2027-04-30"]
        assert stripe.charges == 3
        assert AuditEntry.objects.filter(action="subscription.renew").count() == 3


def test_a_day_of_downtime_only_delays(
    stripe: StripeDesk, service: Subscription, visa: CardOnFile, anna: Customer
) -> None:
    live(anna, NEXT + timedelta(days=3), NEXT + timedelta(days=4))
    renewal = newest(anna)
    assert renewal.settled_at
    assert renewal.from_on == NEXT
    assert stripe.charges == 1
    assert renewal.invoice
    assert renewal.invoice.due_on == NEXT + timedelta(days=4)


def test_tax_is_that_of_its_day(
    stripe: StripeDesk,
    taxed: Any,
    service: Subscription,
    visa: CardOnFile,
    anna: Customer,
    ordered: Callable[..., Order],
) -> None:
    live(anna, NEXT - timedelta(days=8), NEXT)
    renewal = newest(anna)
    assert (renewal.tax_minor, renewal.total_minor) == (1121, 7021)
    assert stripe.kept_minor == 7021
    assert renewal.settled_at


def test_who_has_ended_is_not_renewed(
    service: Subscription, visa: CardOnFile, anna: Customer, stripe: StripeDesk
) -> None:
    with on_day(NEXT - timedelta(days=30)):
        Subscription.objects.filter(pk=service.pk).update(ended_at=service.started_at)
    live(anna, NEXT - timedelta(days=8), NEXT)
    assert not Renewal.objects.exists()
    assert stripe.charges == 0


def test_twice_is_harmless(
    stripe: StripeDesk, service: Subscription, visa: CardOnFile, anna: Customer
) -> None:
    live(anna, NEXT - timedelta(days=1), NEXT - timedelta(days=1))
    with on_day(NEXT):
        for _ in range(3):
            Subscription.objects.update(next_step_at=service.started_at)
            sweep(anna)
    assert Renewal.objects.count() == stripe.charges == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_workers_charge_once(
    stripe: StripeDesk, service: Subscription, visa: CardOnFile, anna: Customer
) -> None:
    def work(_: int) -> None:
        try:
            Subscription.objects.update(next_step_at=service.started_at)  # as if the lease were over
            renewing.work_subscription(str(service.pk))
        finally:
            connection.close()

    live(service.customer, NEXT - timedelta(days=1), NEXT - timedelta(days=1))
    with on_day(NEXT), ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
        Subscription.objects.update(next_step_at=service.started_at)
        sweep(anna)
    assert (
        Renewal.objects.count()
        == stripe.charges
        == Payment.objects.filter(renewal__isnull=False).count()
        == 1
    )
    assert newest(anna).settled_at


@pytest.mark.odd_rows
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_it_is_sold_of_the_version_that_it_has_by_then(service: Subscription) -> None:
    other, locked = Plan.objects.get(slug="25gb").present_version(), threading.Event()

    def change() -> None:
        try:
            with transaction.atomic():
                Subscription.objects.update(plan=other.plan, version=other, amount_minor=9900)
                locked.set()
                time.sleep(0.5)  # while the other waits for the row
        finally:
            connection.close()

    with on_day(NEXT - timedelta(days=7)), ThreadPoolExecutor(1) as pool:
        changed = pool.submit(change)
        assert locked.wait(5)
        renewal = service.renew()
        changed.result()
    assert renewal
    assert (renewal.version, renewal.amount_minor) == (other, 9900)


def test_an_invoice_asks_the_database_little(anna: Customer, visa: CardOnFile) -> None:
    """Thousands are due in one night."""
    live(anna, NEXT - timedelta(days=8), NEXT - timedelta(days=8))
    with on_day(NEXT - timedelta(days=7)), CaptureQueriesContext(connection) as queries:
        sweep(anna)
    assert newest(anna).is_open
    assert len(queries) <= 34, "\n".join(query["sql"][:200] for query in queries)


def test_a_charge_asks_the_database_little(anna: Customer, visa: CardOnFile) -> None:
    """And in the night a week later."""
    live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=1))
    with on_day(NEXT), CaptureQueriesContext(connection) as queries:
        sweep(anna)
    assert not newest(anna).is_open
    assert len(queries) <= 44, "\n".join(query["sql"][:200] for query in queries)
