"""Time, queries and bytes of pages, in this process and over HTTP, on the database that `pages` made."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Role, User
from billing.models import Decision, FraudCheck, Order, OrderSignal, Outcome, ReviewDecision, ReviewNote
from deploy.stack.panel import WEB_THREADS, WEB_WORKERS
from domains.enrolment import enrol
from domains.models import Domain, Kind, Mailbox, ServerRow, ServerSync
from domains.models.server import standard_ports
from mxpanel.demo import Demo
from tests.bench.changes_rate import READY_HASH
from tests.bench.figures import figure
from tests.bench.stack import Stack
from tests.ports import free_port

MAILBOXES = 10_000
ORDERS, UNDECIDED = 10_000, 500
REVIEWED = "BENCH-00000"  # the number of the first order to decide
DOMAINS = 1_000
REQUESTS = 200
WARM_UP = 10


@dataclass(frozen=True)
class Page:
    name: str
    path: str
    goal: str
    queries_goal: str = ""
    signed_in: bool = True
    by_staff: bool = False


PAGES = [
    Page("sign-in page", "/accounts/login/", "<= 8 ms", signed_in=False),
    Page("order page", "/order/", "<= 20 ms"),
    Page(
        "page of 50 of 10,000 mailboxes",
        "/c/acme/domains/acme.test/mailboxes/?after=box-04999",
        "<= 20 ms",
        queries_goal="<= 8",
    ),
    Page(
        "page of 50 of 1,000 domains with 5 mailboxes each",
        "/c/acme/domains/?after=d0499.many.test",
        "<= 25 ms",
        queries_goal="<= 10",
    ),
    Page(
        "page of 50 of 500 orders to decide, among 10,000, riskiest first",
        "/admin/review/?sort=risk",
        "<= 60 ms",
        queries_goal="<= 12",
        by_staff=True,
    ),
    Page(
        "page of an order to review",
        f"/admin/review/{REVIEWED}/",
        "<= 60 ms",
        queries_goal="<= 12",
        by_staff=True,
    ),
]


def run(_: Stack) -> None:
    sessions = fill()
    for page in PAGES:
        get = in_process(page, sessions[page.by_staff])
        queries, size = count(get)
        figure(f"{page.name}, p50", timed(get), "ms", n=REQUESTS, goal=page.goal)
        figure(f"{page.name}, queries", queries, "queries", n=1, goal=page.queries_goal)
        figure(f"{page.name}, size", size, "bytes", n=1)
    with web_server() as base:
        for page in PAGES:
            get = over_http(base, page, sessions[page.by_staff])
            figure(f"{page.name} over HTTP, p50", timed(get), "ms", n=REQUESTS)


def fill() -> dict[bool, str]:
    """Migrate, load the demo data, MAILBOXES and ORDERS more; the session keys of the demo customer's owner (False) and
    of staff (True).
    """
    call_command("migrate", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)
    server, _ = enrol(
        name="mx1.bench.test",
        address="127.0.0.1",
        agent_url="https://127.0.0.1:1",
        certificate_sha256="0" * 64,
        agent_key="never asked in this benchmark",
        ports=standard_ports(),
    )
    with TemporaryDirectory() as directory:
        Demo(Path(directory) / "demo.json").load()
    add_mailboxes(server.pk)
    add_domains()
    owner = User.objects.get(memberships__customer__username="acme", memberships__role=Role.OWNER)
    add_orders(owner)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return {False: session_of(owner), True: session_of(User.objects.get(is_staff=True))}


def session_of(person: User) -> str:
    """Signed in, with the second factor."""
    client = Client()
    client.force_login(person, "allauth.account.auth_backends.AuthenticationBackend")
    session = client.session
    session["account_authentication_methods"] = [{"method": "mfa", "type": "totp", "at": time.time()}]
    session["account_authentication_methods_user"] = str(person.pk)
    session.save()
    return str(session.session_key)


def add_orders(owner: User) -> None:
    """ORDERS that were turned down, and UNDECIDED more, every fifth with two signals; each with a note."""
    template = Order.objects.filter(placed_by=owner)[0]
    known = {field.attname: getattr(template, field.attname) for field in Order._meta.concrete_fields}
    fields = {name: value for name, value in known.items() if name not in ("id", "number", "submission")}
    made = Order.objects.bulk_create(
        [Order(**fields, number=f"BENCH-{number:05}") for number in range(UNDECIDED + ORDERS)],
        batch_size=1000,
    )
    FraudCheck.objects.bulk_create(
        [FraudCheck(order=order, outcome=Outcome.OFF, next_ask_at=None) for order in made], batch_size=1000
    )
    ReviewNote.objects.bulk_create(
        [ReviewNote(order=order, text="Called", by=owner) for order in made[:UNDECIDED]]
    )
    OrderSignal.objects.bulk_create(
        [
            OrderSignal(order=order, kind=kind, text="Same as another order")
            for order in made[:UNDECIDED:5]
            for kind in ("phone", "address")
        ]
    )
    ReviewDecision.objects.bulk_create(
        [ReviewDecision(order=order, decision=Decision.REJECT, by=owner) for order in made[UNDECIDED:]],
        batch_size=1000,
    )


def add_mailboxes(server_id: int) -> None:
    """MAILBOXES live ones in the demo customer's domain."""
    facts = {"domain": Domain.objects.get(name="acme.test"), "name": "A Person", "password_hash": READY_HASH}
    made = Mailbox.objects.bulk_create(
        [Mailbox(local_part=f"box-{number:05}", **facts) for number in range(MAILBOXES)], batch_size=1000
    )
    rows = [ServerRow(server_id=server_id, kind=Kind.MAILBOX, key=mailbox.pk, revision=1) for mailbox in made]
    ServerRow.objects.bulk_create(rows, batch_size=1000)
    ServerSync.objects.filter(server=server_id).update(effective=1)


def add_domains() -> None:
    """DOMAINS more of the demo customer, with a few mailboxes each."""
    customer = Domain.objects.select_related("customer").get(name="acme.test").customer
    made = Domain.objects.bulk_create(
        [Domain(customer=customer, name=f"d{number:04}.many.test") for number in range(DOMAINS)]
    )
    Mailbox.objects.bulk_create(
        [
            Mailbox(domain=domain, local_part=f"box-{number}", password_hash=READY_HASH)
            for domain in made
            for number in range(5)
        ],
        batch_size=1000,
    )


def count(get: Callable[[], int]) -> tuple[int, int]:
    """Queries and bytes of a page that was asked for before."""
    get()
    with CaptureQueriesContext(connection) as queries:
        size = get()
    return len(queries), size


def in_process(page: Page, session: str) -> Callable[[], int]:
    """Gets the page by Django's test client and returns its size; RuntimeError if it is not 200."""
    client = Client()
    if page.signed_in:
        client.cookies[settings.SESSION_COOKIE_NAME] = session

    def get() -> int:
        reply = client.get(page.path, SERVER_NAME="localhost")
        if reply.status_code != 200:
            raise RuntimeError(f"{page.path} was answered {reply.status_code}")
        return len(reply.content)

    return get


def over_http(base: str, page: Page, session: str) -> Callable[[], int]:
    """The same from a server, over one kept connection."""
    client = requests.Session()
    client.trust_env = False
    if page.signed_in:
        client.cookies[settings.SESSION_COOKIE_NAME] = session

    def get() -> int:
        reply = client.get(base + page.path, allow_redirects=False, timeout=30)
        if reply.status_code != 200:
            raise RuntimeError(f"{page.path} was answered {reply.status_code}")
        return len(reply.content)

    return get


def timed(get: Callable[[], int]) -> float:
    """Milliseconds, the median of REQUESTS after some that do not count."""
    times = []
    for number in range(WARM_UP + REQUESTS):
        started = time.perf_counter()
        get()
        if number >= WARM_UP:
            times.append((time.perf_counter() - started) * 1000)
    return median(times)


@contextmanager
def web_server() -> Iterator[str]:
    """gunicorn with this process's settings, as the stack runs it, on a port of its own."""
    base = f"http://127.0.0.1:{free_port()}"
    arguments = [
        "--bind",
        urlsplit(base).netloc,
        "--workers",
        str(WEB_WORKERS),
        "--threads",
        str(WEB_THREADS),
    ]
    arguments += ["--preload", "--no-control-socket", "--log-level", "error"]
    server = subprocess.Popen([sys.executable, "-m", "gunicorn", *arguments, "mxpanel.wsgi"])
    try:
        wait_for(f"{base}/healthz")
        yield base
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
