"""One change on a mail server of a million mailboxes against the same on an empty one; before that the large one is
rebuilt from nothing.
"""

import time
from statistics import median

from domains.driver.sync import sync
from domains.models import Domain, MailServer
from tests.bench import many
from tests.bench.figures import figure
from tests.bench.large_server import apart, check, enrolled, prepare_database, rebuilt
from tests.bench.many import READY_HASH
from tests.bench.scratch_node import ScratchNode, scratch_node
from tests.bench.stack import Stack

DOMAINS = 50_000
CHANGES = 50
KB = 1_000


def run(stack: Stack) -> None:
    prepare_database()
    with (
        scratch_node(stack.var / "scratch" / "m") as large,
        scratch_node(stack.var / "scratch" / "e") as empty,
    ):
        server, small = enrolled(large), enrolled(empty)
        rows = many.fill(server, DOMAINS)
        for node in (large, empty):
            node.start("keeper", "agent")
        rebuild_figures(server, large, rows)
        domains = many.a_domain(server), many.empty_customer(small, "one")
        times = [[seconds_of_a_change(domain, number) for domain in domains] for number in range(CHANGES + 5)]
    at_large, at_small = (median(column) * 1000 for column in zip(*times[5:], strict=True))
    figure(
        "one change live, 1,000,000 rows against none, p50", at_large, "ms", n=CHANGES, baseline=at_small,
        goal="ratio <= 1.2",
    )  # fmt: skip


def rebuild_figures(server: MailServer, node: ScratchNode, rows: int) -> None:
    seconds, panel_kb = apart(rebuilt, server.pk, "It is new.")
    check(server, rows)
    figure("rebuild of 1,000,000 mailboxes, from nothing", seconds, "s", n=1, goal="<= 90 s")
    figure("memory of the panel's worker in it", panel_kb / KB, "MB", n=1, goal="<= 300 MB")
    figure("memory of the agent in it", node.peak_kb("agent") / KB, "MB", n=1, goal="<= 200 MB")


def seconds_of_a_change(domain: Domain, number: int) -> float:
    """From the verb to its being effective on the domain's server."""
    server = domain.server
    assert server
    started = time.perf_counter()
    domain.add_mailbox(f"one-{number}", quota_mb=1, by=None, password_hash=READY_HASH)
    sync(server.pk)
    seconds = time.perf_counter() - started
    if MailServer.objects.behind().filter(pk=server.pk).exists():
        raise RuntimeError(f"{server} did not take a change")
    return seconds
