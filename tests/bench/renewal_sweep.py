"""Of 100,000 subscriptions 3,000 are due: their invoices are issued, and a week later their cards charged, by three
workers, with a Stripe that answers in five milliseconds.
"""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import stripe
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.utils import timezone

from accounts.models import Customer, User
from billing.models import CardOnFile, Order, Plan, Renewal, StripeCustomer, Subscription
from deploy.stripe_stand_in.payments import new_method
from deploy.stripe_stand_in.server import Handler, Server
from tests.bench.figures import figure
from tests.bench.large_server import prepare_database
from tests.bench.renewal_worker import work
from tests.bench.stack import Stack

SUBSCRIPTIONS, DUE = 100_000, 3_000
WORKERS = 3  # on two cores, for each waits for Stripe and the disk a third of its time
ANSWER = 0.005  # seconds
KEY = "sk_test_of_the_benchmark"
A_WEEK = timedelta(days=7)


class SlowHandler(Handler):
    def _answer(self, path: str, encoded: str) -> None:
        time.sleep(ANSWER)
        super()._answer(path, encoded)


def run(stack: Stack) -> None:
    prepare_database()
    with stripe_at_hand() as server:
        settings.STRIPE_API_BASE, settings.STRIPE_SECRET_KEY = server.books.base, KEY
        fill(server)
        issued, memory = timed()
        figure("renewals: 3,000 invoices among 100,000 subscriptions", issued, "s", n=Renewal.objects.count())
        pass_a_week()
        charged, more = timed()
        paid = Renewal.objects.exclude(settled_at=None).count()
        figure("renewals: 3,000 cards charged", charged, "s", n=paid, goal="<= 60 s")
        figure("renewals: memory of a worker", max(memory, more), "MB", n=WORKERS, goal="<= 200 MB")
        assert paid == DUE == server.books.sums()["usd"]["charges"], (paid, server.books.sums())


@contextmanager
def stripe_at_hand() -> Iterator[Server]:
    with Server("127.0.0.1", 0, KEY, "whsec_of_the_benchmark") as server:
        server.RequestHandlerClass = SlowHandler
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def fill(server: Server) -> None:
    """Those that are due have a card; all others were renewed half a year ago."""
    person = User.objects.create_user("renewals@people.test", "a password of this benchmark alone")
    plan = Plan.objects.create(
        slug="renewals", name="A plan", currency="USD", yearly_minor=5900, storage_mb=10240
    )
    now = timezone.now()
    began = [now - timedelta(days=365 if n < DUE else 180) + A_WEEK for n in range(SUBSCRIPTIONS)]
    customers = Customer.objects.bulk_create(
        (Customer(username=f"r{n}", name="A customer", activated_at=now) for n in range(SUBSCRIPTIONS)), 5_000
    )
    version = plan.present_version()
    sold = {
        "plan": plan, "version": version, "period": "yearly", "amount_minor": 5900, "currency": "USD"
    }  # fmt: skip
    orders = Order.objects.bulk_create(
        (
            Order(
                customer=customer, placed_by=person, name="A person", email=person.email, street="1 Road", city="Leeds",
                postcode="LS1", country="GB", phone="+44 113 496 0000", terms_accepted_at=now,
                submission=f"renewal-{n}", **sold,
            )
            for n, customer in enumerate(customers)
        ),
        5_000,
    )  # fmt: skip
    Subscription.objects.bulk_create(
        (
            Subscription(
                customer=order.customer, order=order, started_at=at, next_step_at=now if n < DUE else now + A_WEEK * 20,
                **sold,
            )
            for n, (order, at) in enumerate(zip(orders, began, strict=True))
        ),
        5_000,
    )  # fmt: skip
    for customer in customers[:DUE]:
        keep_card(server, customer)
    tidy()


def keep_card(server: Server, customer: Customer) -> None:
    at_stripe = server.books.add(stripe.Customer, "cus", metadata={})
    method = new_method(server.books, "4242424242424242")
    method["customer"] = at_stripe["id"]
    StripeCustomer.objects.create(customer=customer, stripe_id=at_stripe["id"])
    CardOnFile.objects.create(
        customer=customer, stripe_customer=at_stripe["id"], method=method["id"], brand="Visa", last4="4242",
        exp_month=12, exp_year=2040, is_default=True,
    )  # fmt: skip


def pass_a_week() -> None:
    """As if a week had passed since what was just done."""
    Subscription.objects.update(started_at=F("started_at") - A_WEEK)
    Renewal.objects.update(
        from_on=F("from_on") - A_WEEK, until_on=F("until_on") - A_WEEK, made_at=F("made_at") - A_WEEK
    )
    Subscription.objects.filter(renewals__isnull=False).update(next_step_at=timezone.now())
    tidy()


def tidy() -> None:
    """What PostgreSQL does in a quiet minute after so many rows at once."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def timed() -> tuple[float, float]:
    """Do what is due in so many fresh processes as there are workers: seconds until all have ended, and the most memory of
    one, in MB.
    """
    context = multiprocessing.get_context("spawn")
    memory = context.Queue()
    stripe_at = (settings.STRIPE_API_BASE, settings.STRIPE_SECRET_KEY)
    workers = [context.Process(target=work, args=(memory, *stripe_at)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for _ in workers:
        memory.get()  # they are ready
    began = time.monotonic()
    most = max(memory.get() for _ in workers)
    ended = time.monotonic()
    for worker in workers:
        worker.join()
    return ended - began, most
