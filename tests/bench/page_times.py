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
from domains.enrolment import enrol
from domains.models import Domain, Kind, Mailbox, ServerRow, ServerSync
from domains.models.server import standard_ports
from mxpanel.demo import Demo
from tests.bench.changes_rate import READY_HASH
from tests.bench.figures import figure
from tests.bench.ports import free_ports
from tests.bench.stack import Stack

MAILBOXES = 10_000
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
]


def run(_: Stack) -> None:
    session = fill()
    for page in PAGES:
        get = in_process(page, session)
        queries, size = count(get)
        figure(f"{page.name}, p50", timed(get), "ms", n=REQUESTS, goal=page.goal)
        figure(f"{page.name}, queries", queries, "queries", n=1, goal=page.queries_goal)
        figure(f"{page.name}, size", size, "bytes", n=1)
    with web_server() as base:
        for page in PAGES:
            get = over_http(base, page, session)
            figure(f"{page.name} over HTTP, p50", timed(get), "ms", n=REQUESTS)


def fill() -> str:
    """Migrate, load the demo data and MAILBOXES more; the session key of the demo customer's owner."""
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
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    client = Client()
    owner = User.objects.get(memberships__customer__username="acme", memberships__role=Role.OWNER)
    client.force_login(owner, "allauth.account.auth_backends.AuthenticationBackend")
    return str(client.session.session_key)


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
    """gunicorn with this process's settings on a port of its own."""
    base = f"http://127.0.0.1:{free_ports(1)[0]}"
    arguments = ["--bind", urlsplit(base).netloc, "--workers", "1", "--threads", "4", "--log-level", "error"]
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
