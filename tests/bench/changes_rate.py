"""Changes a second through the model verbs by several writers, and how far the mail server lags at the end.

Measured twice: as the panel does it, with the server's counter taken as the last statement before COMMIT;
and with it taken first, which makes every writer wait for the whole of the others' work.
"""

import multiprocessing
import time
from contextlib import nullcontext
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from django.db import connection, connections

from accounts.models import Customer, User
from domains.models import Domain, MailServer, add_domain
from foundation.unit_of_work import unit_of_work
from tests.bench.figures import figure
from tests.bench.stack import Stack

WRITERS = 8
CHANGES_EACH = 250
PATIENCE_SECONDS = 120
DOMAIN = "rate.bench.test"
READY_HASH = (
    "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$"
    + "c29tZXNhbHRzb21lc2FsdA"
    + "$"
    + "Zm9yIGEgYmVuY2htYXJrIG9ubHksIG5vIHBhc3N3b3I"
)


@dataclass(frozen=True)
class Outcome:
    per_second: float
    lag_seconds: float


def run(stack: Stack) -> None:
    customer = Customer.objects.get(username=stack.customer["customer"])
    owner = User.objects.get(email=stack.customer["email"])
    domain = customer.domains.live().filter(name=DOMAIN).first() or add_domain(customer, DOMAIN, by=owner)
    last = measure(domain, owner, counter_first=False)
    first = measure(domain, owner, counter_first=True)
    n = WRITERS * CHANGES_EACH
    figure("changes, 8 writers", last.per_second, "1/s", n=n, goal=">= 250/s")
    figure("lag after 8 writers", last.lag_seconds, "s", n=1, goal="<= 2 s")
    figure("changes, stamping last against first", last.per_second, "1/s", n=n, baseline=first.per_second)


def measure(domain: Domain, owner: User, *, counter_first: bool) -> Outcome:
    """Let WRITERS processes add mailboxes at the same time; each is connected and warm before any begins."""
    connections.close_all()  # a forked process must not share ours
    context = multiprocessing.get_context("fork")
    together, spans = context.Barrier(WRITERS), context.Queue()
    server = domain.server
    assert server
    writers = [
        context.Process(target=write, args=(domain, owner, counter_first, together, spans))
        for _ in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    began, ended = zip(*(spans.get(timeout=600) for _ in writers), strict=True)
    caught_up = wait_until_effective(server.pk)
    for writer in writers:
        writer.join()
    seconds = max(ended) - min(began)
    return Outcome(WRITERS * CHANGES_EACH / seconds, max(0.0, caught_up - max(ended)))


def write(domain: Domain, owner: User, counter_first: bool, together: Any, spans: Any) -> None:
    name = f"rate-{token_hex(4)}"
    add(domain, owner, f"{name}-warm", counter_first)
    together.wait()
    began = time.monotonic()
    for number in range(CHANGES_EACH):
        add(domain, owner, f"{name}-{number}", counter_first)
    spans.put((began, time.monotonic()))
    connections.close_all()


def add(domain: Domain, owner: User, name: str, counter_first: bool) -> None:
    with unit_of_work() if counter_first else nullcontext():
        if counter_first:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT 1 FROM domains_mailserver WHERE id = %s FOR UPDATE", [domain.server.pk]
                )  # type: ignore[union-attr]
        domain.add_mailbox(name, quota_mb=1, by=owner, password_hash=READY_HASH)


def wait_until_effective(server_id: int) -> float:
    """When all that is wished of the server was seen to be true; TimeoutError when that stays away."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while MailServer.objects.behind().filter(pk=server_id).exists():
        if time.monotonic() > deadline:
            raise TimeoutError("The mail server does not catch up.")
        time.sleep(0.02)
    return time.monotonic()
