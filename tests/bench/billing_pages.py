"""Pages about money: billing and an invoice of a customer with 1,000 invoices, of which the last renewal is not paid, and
the books among 100,000 entries of the ledger; and how fast the webhook of Stripe is answered. Run by `pages` on a database
of its own.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import requests
from django.conf import settings
from django.db import connection
from django.utils import timezone
from stripe import WebhookSignature

from accounts.models import Customer, Role, User
from billing.invoicing import issue_invoice
from billing.models import (
    Account,
    CardOnFile,
    EntryKind,
    Invoice,
    LedgerEntry,
    Order,
    Payment,
    Plan,
    RenewalCharge,
    StripeEvent,
    Subscription,
)
from foundation.unit_of_work import unit_of_work
from tests.bench.figures import figure, percentile
from tests.bench.large_server import prepare_database
from tests.bench.page_times import REQUESTS, Page, count, in_process, session_of, timed, web_server
from tests.bench.stack import Stack

INVOICES, OF_ONE = 26_500, 1_000  # with four entries each, or two where they are not paid
LATE = 200  # renewals that are not paid, each with three charges that failed
RATE, SECONDS = 50, 20
SECRET = "whsec_of_the_benchmark"
WEBHOOK = "/stripe/webhook/"
BOOKS = [
    Page("day book of a year among 100,000 entries", "/admin/books/days/?since={year_ago}&until={today}", "<= 250 ms",
         "<= 12", by_staff=True),
    Page("aged receivables among 100,000 entries", "/admin/books/receivables/", "<= 250 ms", "<= 12", by_staff=True),
    Page("failed payments, of 600", "/admin/books/failed-payments/", "<= 250 ms", "<= 16", by_staff=True),
    Page("monthly recurring revenue", "/admin/books/recurring-revenue/", "<= 250 ms", "<= 12", by_staff=True),
    Page("ledger of a customer with 4,000 entries", "/admin/books/ledger/acme/", "<= 250 ms", "<= 12", by_staff=True),
]  # fmt: skip


def run(_: Stack) -> None:
    prepare_database()
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = "sk_test_of_the_benchmark", SECRET
    number = fill()
    owner, staff = (session_of(User.objects.get(email=f"{who}@bench.test")) for who in ("owner", "staff"))
    pages = [
        Page("billing among 1,000 invoices, one not paid", "/c/acme/billing/", "<= 60 ms", "<= 10"),
        Page(
            "invoice of a renewal that is not paid",
            f"/c/acme/billing/invoices/{number}/",
            "<= 60 ms",
            "<= 10",
        ),
        *BOOKS,
    ]
    today = timezone.localdate()
    for page in pages:
        path = page.path.format(today=today, year_ago=today - timedelta(days=365))
        get = in_process(Page(page.name, path, page.goal), staff if page.by_staff else owner)
        figure(f"{page.name}, queries", count(get)[0], "queries", n=1, goal=page.queries_goal)
        figure(f"{page.name}, p50", timed(get), "ms", n=REQUESTS, goal=page.goal)
    webhook()


def webhook() -> None:
    """A request is sent when its time has come, whether those before it were answered or not."""
    os.environ["STRIPE_WEBHOOK_SECRET"] = SECRET
    with web_server() as base, ThreadPoolExecutor(RATE) as senders:
        for event in events("warm", RATE):
            post(base, event)
        began, answers = time.perf_counter(), []
        for number, event in enumerate(events("evt", RATE * SECONDS)):
            time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            answers.append(senders.submit(post, base, event))
        times = [answer.result() for answer in answers]
    assert StripeEvent.objects.filter(event__startswith="evt_evt").count() == RATE * SECONDS
    name = f"webhook of Stripe at {RATE} a second"
    figure(f"{name}, p50", percentile(times, 50), "ms", n=len(times))
    figure(f"{name}, p99", percentile(times, 99), "ms", n=len(times), goal="<= 50 ms")


_connections = threading.local()


def post(base: str, event: str) -> float:
    """Milliseconds until the answer, over a connection that this thread keeps."""
    if not hasattr(_connections, "client"):
        _connections.client = requests.Session()
        _connections.client.trust_env = False
    signature = WebhookSignature.generate_signature_header(event, SECRET)
    began = time.perf_counter()
    answer = _connections.client.post(
        base + WEBHOOK, data=event, headers={"Stripe-Signature": signature}, timeout=30
    )
    if answer.status_code != 204:
        raise RuntimeError(f"An event was answered {answer.status_code}")
    return (time.perf_counter() - began) * 1000


def events(name: str, many: int) -> Iterator[str]:
    """Every second one is of a kind that is worked."""
    for number in range(many):
        kind = ("refund.updated", "invoice.paid")[number % 2]
        about = {"id": f"re_{name}{number:06}", "object": "refund", "metadata": {}, "filler": "x" * 2_000}
        yield json.dumps({"id": f"evt_{name}{number:06}", "type": kind, "data": {"object": about}})


def fill() -> str:
    """The number of the invoice that acme has not paid."""
    staff = User.objects.create_user("staff@bench.test", is_staff=True, is_superuser=True)
    owner = User.objects.create_user("owner@bench.test")
    for person in (owner, staff):
        person.emailaddress_set.create(email=person.email, verified=True, primary=True)
    plan = Plan.objects.create(
        slug="bench", name="A plan", currency="USD", yearly_minor=5900, storage_mb=10240
    )
    now = timezone.now()
    customers = Customer.objects.bulk_create(
        Customer(username="acme" if n == 0 else f"b{n}", name="A customer", activated_at=now)
        for n in range(1 + (INVOICES - OF_ONE) // 4)
    )
    customers[0].memberships.create(user=owner, role=Role.OWNER)
    make = partial(
        Order, plan=plan, version=plan.present_version(), period="yearly", placed_by=owner, name="A person",
        email="a@bench.test", street="1 Road", city="Leeds", postcode="LS1", country="GB", phone="+44 113 496 0000",
        terms_accepted_at=now,
        amount_minor=5900, currency="USD",
    )  # fmt: skip
    orders = Order.objects.bulk_create(
        (
            make(customer=customers[max(0, (n - OF_ONE) // 4 + 1)], submission=f"bench-{n}")
            for n in range(INVOICES)
        ),
        5_000,
    )
    post_all(orders, Invoice.objects.get(pk=template_of(make(customer=customers[1], submission="template"))))
    number = ""
    for n in range(LATE, -1, -1):
        number = fail(customers[n], orders[0 if n == 0 else OF_ONE + 4 * (n - 1)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return number


def template_of(order: Order) -> object:
    order.save()
    with unit_of_work():
        return issue_invoice(order).pk


def post_all(orders: list[Order], template: Invoice) -> None:
    """An invoice for each order, issued over a year, and paid; every tenth is not."""
    begin, a_day = timezone.now() - timedelta(days=365), timedelta(days=1)
    said = {
        "document": template.document,
        "net_minor": 4958,
        "tax_minor": 942,
        "total_minor": 5900,
        "kind": "invoice",
    }
    at = [begin + a_day * (n % 365) for n in range(len(orders))]
    invoices = Invoice.objects.bulk_create(
        (
            Invoice(
                order=order, customer_id=order.customer_id, number=f"INV-2000-{n:05}", issued_at=at[n],
                issued_on=at[n].date(), due_on=at[n].date() + a_day * 14, currency="USD", **said,
            )
            for n, order in enumerate(orders)
        ),
        5_000,
    )  # fmt: skip
    payments = Payment.objects.bulk_create(
        (
            Payment(
                order=order,
                method="bank_transfer",
                reference="R1",
                amount_minor=5900,
                currency="USD",
                at=at[n],
            )
            for n, order in enumerate(orders)
        ),
        5_000,
    )
    paid = {payment.order_id: payment for payment in payments}
    LedgerEntry.objects.bulk_create(
        (entry for invoice in invoices for entry in entries(invoice, paid.get(invoice.order_id))), 5_000
    )


def entries(invoice: Invoice, payment: Payment | None) -> Iterator[LedgerEntry]:
    make = partial(LedgerEntry, customer_id=invoice.customer_id, at=invoice.issued_at, currency="USD")
    of_it = partial(make, invoice=invoice, document=invoice, debit=Account.RECEIVABLE)
    yield of_it(kind=EntryKind.SALE, credit=Account.REVENUE, amount_minor=4958)
    yield of_it(kind=EntryKind.TAX, credit=Account.TAX, amount_minor=942)
    if payment:
        of_it = partial(make, payment=payment, amount_minor=5900)
        yield of_it(kind=EntryKind.PAYMENT, debit=Account.BANK, credit=Account.CREDIT)
        yield of_it(kind=EntryKind.SETTLE, debit=Account.CREDIT, credit=Account.RECEIVABLE, invoice=invoice)


def fail(customer: Customer, order: Order) -> str:
    """The number of the invoice of a renewal of this customer, which is charged in vain."""
    began = timezone.now() - timedelta(days=360)
    service = Subscription.objects.create(
        customer=customer, order=order, plan_id=order.plan_id, version_id=order.version_id, period="yearly",
        amount_minor=5900, currency="USD", started_at=began, next_step_at=None,
    )  # fmt: skip
    card = CardOnFile.objects.create(
        customer=customer, stripe_customer=f"cus_{customer.pk.hex}", method=f"pm_{customer.pk.hex}", brand="Visa",
        last4="0341", exp_month=12, exp_year=2040, is_default=True, next_look_at=None,
    )  # fmt: skip
    renewal = service.renew()
    assert renewal
    assert renewal.invoice
    RenewalCharge.objects.bulk_create(
        RenewalCharge(
            renewal=renewal, number=number, card=card, amount_minor=5900, currency="USD", state="declined",
            reason="There is not enough money on the card.", ended_at=timezone.now(),
        )
        for number in (1, 2, 3)
    )  # fmt: skip
    return str(renewal.invoice.number)
