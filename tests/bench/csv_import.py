"""A file of 50,000 mailboxes with ready hashes into a mail server of its own, and how near hashing comes to what the
machine can do.
"""

import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.db import connections

from domains.driver.sync import sync
from domains.mailbox_csv.applying import work
from domains.mailbox_csv.comparing import compare
from domains.mailbox_password import _hasher
from domains.models import Domain, MailboxImport, MailServer
from tests.bench import many
from tests.bench.changes_rate import READY_HASH
from tests.bench.figures import figure
from tests.bench.large_server import enrolled, prepare_database
from tests.bench.scratch_node import scratch_node
from tests.bench.stack import Stack

LINES = 50_000
HASHED = 200
LIVE_WITHIN = 60


def run(stack: Stack) -> None:
    prepare_database()
    with scratch_node(stack.var / "scratch" / "c") as node:
        server = enrolled(node)
        node.start("keeper", "agent")
        domain = many.empty_customer(server, "csv")
        with syncing(server):
            ready_hashes(server, domain)
            clear_passwords(domain)


def ready_hashes(server: MailServer, domain: Domain) -> None:
    lines = "".join(f'person{number},Person {number},1024,"{READY_HASH}"\n' for number in range(LINES))
    started = time.monotonic()
    found = compare(domain, io.BytesIO(f"username,name,quota_mb,password\n{lines}".encode()), by=None)
    compared = time.monotonic()
    imported(found)
    ended = time.monotonic()
    while MailServer.objects.behind().filter(pk=server.pk).exists():
        if time.monotonic() > ended + LIVE_WITHIN:
            raise TimeoutError("The mail server does not catch up.")
        time.sleep(0.02)
    live = time.monotonic() - ended
    figure("dry run of a CSV of 50,000 lines", compared - started, "s", n=LINES)
    figure("CSV with ready hashes", LINES / (ended - started), "rows/s", n=LINES, goal=">= 2000/s")
    figure("live on the server after the last row", live, "s", n=1, goal="<= 5 s")


def clear_passwords(domain: Domain) -> None:
    """The whole import of clear passwords against two bare threads of the same hash."""
    passwords = [f"a clear password {number}" for number in range(HASHED)]
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_hasher.hash, passwords))
    bare = HASHED / (time.monotonic() - started)
    lines = "".join(f"clear{number},{password}\n" for number, password in enumerate(passwords))
    found = compare(domain, io.BytesIO(f"username,password\n{lines}".encode()), by=None)
    started = time.monotonic()
    imported(found)
    rate = HASHED / (time.monotonic() - started)
    figure("CSV with clear passwords", rate, "rows/s", n=HASHED, baseline=bare, goal="ratio >= 0.9")


def imported(found: MailboxImport) -> None:
    found.confirm(by=None)
    while work(found.pk):
        pass
    found.refresh_from_db()
    if (found.status, found.done, found.skipped) != ("done", found.total, 0):
        raise RuntimeError(f"The import is {found.status}: {found.done} of {found.total}. {found.stopped}")


@contextmanager
def syncing(server: MailServer) -> Iterator[None]:
    """Beside it, what a worker does."""
    done = threading.Event()

    def keep() -> None:
        while not done.is_set():
            sync(server.pk)
            time.sleep(0.05)
        connections.close_all()

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
