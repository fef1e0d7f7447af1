"""Changes a second through the model verbs by several writers, and how far the mail server lags at the end.

Measured twice: as the panel does it, with the server's counter taken as the last statement before COMMIT;
and with it taken first, which makes every writer wait for the whole of the others' work.
"""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from secrets import token_hex

from django.db import connections

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
    server = domain.server
    assert server, "the demo customer is placed"
    connections.close_all()  # a forked process must not share ours
    context = multiprocessing.get_context("fork")
    together = context.Barrier(WRITERS, timeout=PATIENCE_SECONDS)
    with ProcessPoolExecutor(WRITERS, context, initializer=_meet_at, initargs=(together,)) as writers:
        work = [
            writers.submit(write, domain, owner, server.pk if counter_first else None) for _ in range(WRITERS)
        ]
        began, ended = zip(*(done.result() for done in work), strict=True)
        caught_up = wait_until_effective(server.pk)
    seconds = max(ended) - min(began)
    return Outcome(WRITERS * CHANGES_EACH / seconds, max(0.0, caught_up - max(ended)))


def write(domain: Domain, owner: User, counter: int | None) -> tuple[float, float]:
    """In a writer's process: when its changes began and ended. `counter` names the server to be locked first."""
    name = f"rate-{token_hex(4)}"
    add(domain, owner, f"{name}-warm", counter)
    _together.wait()
    began = time.monotonic()
    for number in range(CHANGES_EACH):
        add(domain, owner, f"{name}-{number}", counter)
    return began, time.monotonic()


def add(domain: Domain, owner: User, name: str, counter: int | None) -> None:
    if counter is None:
        domain.add_mailbox(name, quota_mb=1, by=owner, password_hash=READY_HASH)
        return
    with unit_of_work():
        MailServer.objects.select_for_update().get(pk=counter)
        domain.add_mailbox(name, quota_mb=1, by=owner, password_hash=READY_HASH)


_together: Barrier  # of a writer's process


def _meet_at(together: Barrier) -> None:
    global _together
    _together = together


def wait_until_effective(server_id: int) -> float:
    """When all that is wished of the server was seen to be true; TimeoutError when that stays away."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while MailServer.objects.behind().filter(pk=server_id).exists():
        if time.monotonic() > deadline:
            raise TimeoutError("The mail server does not catch up.")
        time.sleep(0.02)
    return time.monotonic()
