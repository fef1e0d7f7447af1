"""A mail server of 100,000 mailboxes is rebuilt from nothing, once more while mail is looked up, and compared."""

import multiprocessing
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress

import django
from django.core.management import call_command
from django.db import connections

from domains.driver.digests import digest
from domains.driver.outcomes import want_rebuild
from domains.driver.rebuilding import rebuild
from domains.driver.sync import sync
from domains.enrolment import enrol
from domains.models import Mailbox, MailServer
from domains.models.server import standard_ports
from tests.bench import many
from tests.bench.dovecot_auth import DovecotAuth
from tests.bench.figures import figure
from tests.bench.lookup import postfix_finds
from tests.bench.scratch_node import ScratchNode, scratch_node
from tests.bench.stack import Stack

DOMAINS = 5_000
ASKED = 200  # addresses in one turn of look-ups
KB = 1_000


def run(stack: Stack) -> None:
    prepare_database()
    with scratch_node(stack.var / "scratch" / "r") as node:
        server = enrolled(node)
        rows = many.fill(server, DOMAINS)
        node.start("keeper", "agent")
        seconds, panel_kb = apart(rebuilt, server.pk, "It is new.")
        check(server, rows)
        goal = "<= 8 s"
        figure("rebuild of 100,000 mailboxes, from nothing", seconds, "s", n=1, goal=goal)
        figure("memory of the panel's worker in it", panel_kb / KB, "MB", n=1, goal="<= 300 MB")
        node.start("dovecot", "postfix")
        with looking_up(node, addresses(ASKED)) as counts:
            seconds, _ = apart(rebuilt, server.pk, "Once more.")
        check(server, rows)
        figure("the same with every row there and look-ups going on", seconds, "s", n=1)
        figure("failed look-ups meanwhile", counts["failed"], "look-ups", n=counts["asked"], goal="0")
        figure("memory of the agent", node.peak_kb("agent") / KB, "MB", n=2, goal="<= 200 MB")
        compare(server)


def compare(server: MailServer) -> None:
    """Digest everything while changes go on; how long the slowest of these waited for its server."""
    done, waits, domain = threading.Event(), [], many.a_domain(server)

    def change() -> None:
        number = 0
        while not done.is_set():
            number += 1
            domain.add_mailbox(f"meanwhile-{number}", quota_mb=1, by=None, password_hash=many.READY_HASH)
            started = time.monotonic()
            while MailServer.objects.behind().filter(pk=server.pk).exists():
                sync(server.pk)
                time.sleep(0.01)  # the digest holds it off just now
            waits.append(time.monotonic() - started)
            time.sleep(0.1)
        connections.close_all()

    sync(server.pk)
    server.refresh_from_db()
    server.ask_digest(by=None)
    writer = threading.Thread(target=change)
    writer.start()
    started = time.monotonic()
    digest(server.pk)
    seconds = time.monotonic() - started
    done.set()
    writer.join()
    server.sync.refresh_from_db()
    if server.sync.digest_at is None or server.incidents.exists():
        raise RuntimeError("The digest is not complete, or found what is not there.")
    figure("digest of 100,000 mailboxes", seconds, "s", n=1, goal="<= 5 s")
    figure("longest wait of a change meanwhile", max(waits), "s", n=len(waits), goal="<= 1 s")


def prepare_database() -> None:
    call_command("migrate", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)


def enrolled(node: ScratchNode) -> MailServer:
    server, _ = enrol(
        name=node.settings.name, address="127.0.0.1", agent_url=node.agent_url, ports=standard_ports(),
        certificate_sha256=node.facts["certificate_sha256"],
        agent_key=node.settings.key_file.read_text().strip(),
    )  # fmt: skip
    return server


def rebuilt(server_id: int, reason: str) -> tuple[float, int]:
    """Rebuild until the server has come as far as is wished; (seconds, peak memory of this process in KiB)."""
    started = time.monotonic()
    want_rebuild(MailServer.objects.get(pk=server_id), reason)
    rebuild(server_id)
    sync(server_id)
    seconds = time.monotonic() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def apart(work: Callable[[int, str], tuple[float, int]], *arguments: object) -> tuple[float, int]:
    """In a process of its own, as a worker does it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=django.setup) as worker:
        return worker.submit(work, *arguments).result()  # type: ignore[arg-type]


def check(server: MailServer, rows: int) -> None:
    """RuntimeError unless the node holds every row that is wished."""
    from domains.driver.agent import Agent

    server = MailServer.objects.select_related("sync").get(pk=server.pk)
    held = sum(Agent(server).status().rows.values())
    if held != rows or server.lag:
        raise RuntimeError(f"{held} rows of {rows} are there, {server.lag} revisions are missing")


def addresses(count: int) -> list[str]:
    found = Mailbox.objects.order_by("pk").values_list("local_part", "domain__name")[:count]
    return [f"{local_part}@{domain}" for local_part, domain in found]


@contextmanager
def looking_up(node: ScratchNode, asked: list[str]) -> Iterator[dict[str, int]]:
    """Ask Postfix's maps and Dovecot for these addresses, over and over; counts what was asked and what failed."""
    done, counts = threading.Event(), {"asked": 0, "failed": 0}

    def ask() -> None:
        while not done.is_set():
            for find in (found_by_dovecot, found_by_postfix):
                counts["asked"] += len(asked)
                counts["failed"] += len(asked) - find(node, asked)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield counts
    finally:
        done.set()
        thread.join()


def found_by_dovecot(node: ScratchNode, asked: list[str]) -> int:
    """How many have a home and may sign in; what Dovecot cannot tell counts as not found."""
    found = 0
    with DovecotAuth(node.directory / "dovecot" / "run" / "auth-userdb") as auth:
        for key in asked:
            with suppress(RuntimeError):
                found += auth.userdb_finds(key) and auth.passdb_finds(key)
    return found


def found_by_postfix(node: ScratchNode, asked: list[str]) -> int:
    """How many Postfix knows as mailboxes; of a map that it cannot read it finds none."""
    with suppress(RuntimeError):
        return postfix_finds(node, "mailboxes.cf", asked)
    return 0
