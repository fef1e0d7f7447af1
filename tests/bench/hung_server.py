"""8 writers change mailboxes on two servers: how far the first one lags while the second one hangs, against while
it is well.
"""

import multiprocessing
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from secrets import token_hex
from statistics import median

from django.db import connections

from accounts.models import Customer
from domains.models import Domain, MailServer, add_domain
from tests.bench import many
from tests.bench.figures import figure
from tests.bench.large_server import enrolled
from tests.bench.many import READY_HASH
from tests.bench.scratch_node import scratch_node
from tests.bench.stack import Stack

WRITERS = 8
SECONDS = 15
PAUSE_SECONDS = 0.02  # between two changes of a writer: the machine is busy, and has air to breathe
SAMPLE_SECONDS = 0.005


def run(stack: Stack) -> None:
    customer = Customer.objects.get(username=stack.customer["customer"])
    domain = add_domain(customer, f"well-{token_hex(3)}.bench.test", by=None)
    with scratch_node(stack.var / "scratch" / "h") as node:
        node.start("keeper", "agent")
        other = many.empty_customer(enrolled(node), f"h{token_hex(4)}")
        well = lag(domain, other)
        os.kill(node.pid("agent"), signal.SIGSTOP)
        try:
            hung = lag(domain, other)
        finally:
            os.kill(node.pid("agent"), signal.SIGCONT)
    figure(
        "lag of a server while another hangs, p50", median(hung), "ms", n=len(hung), baseline=median(well),
        goal="ratio <= 1.2",
    )  # fmt: skip


def lag(domain: Domain, other: Domain) -> list[float]:
    """Milliseconds from a revision's being there to its being effective on `domain`'s server, sampled while half
    of the writers change `domain` and half of them `other`.
    """
    server = domain.server
    assert server, "the demo customer is placed"
    connections.close_all()  # a forked process must not share ours
    with ProcessPoolExecutor(WRITERS, multiprocessing.get_context("fork")) as writers:
        work = [writers.submit(write, (domain, other)[number % 2]) for number in range(WRITERS)]
        seen = samples(server.pk)
        for done in work:
            done.result()
    return lags(seen)


def write(domain: Domain) -> None:
    """In a writer's process."""
    name, ends_at, number = f"hung-{token_hex(4)}", time.monotonic() + SECONDS, 0
    while time.monotonic() < ends_at:
        number += 1
        domain.add_mailbox(f"{name}-{number}", quota_mb=1, by=None, password_hash=READY_HASH)
        time.sleep(PAUSE_SECONDS)


Sample = tuple[float, int, int]  # when, revision, effective


def samples(server_id: int) -> list[Sample]:
    found, ends_at = [], time.monotonic() + SECONDS + 2
    query = MailServer.objects.filter(pk=server_id).values_list("revision", "sync__effective")
    while time.monotonic() < ends_at:
        revision, effective = query.get()
        found.append((time.monotonic(), revision, effective))
        time.sleep(SAMPLE_SECONDS)
    return found


def lags(seen: list[Sample]) -> list[float]:
    """For each new revision that was seen how long it took; both columns only grow, so one walk is enough."""
    found, later = [], 0
    for number, (at, revision, _) in enumerate(seen):
        if number and seen[number - 1][1] == revision:
            continue
        while later < len(seen) and seen[later][2] < revision:
            later += 1
        if later == len(seen):
            raise RuntimeError("The server that is well did not catch up.")
        found.append((seen[later][0] - at) * 1000)
    return found
