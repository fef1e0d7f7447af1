"""A panel and its mail servers' real agents, with a broker in memory that a test can lose, double and shuffle, and
processes of the panel that can end between any two of their steps.
"""

import contextlib
import itertools
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

from celery import current_app
from django.core.cache import caches
from django.db import connection
from django.utils import timezone

from accounts.models import Customer, CustomerSuspension, User
from billing.models import Order, Plan
from billing.signals import service_started
from domains import tasks
from domains.driver import history, takeover, verdict
from domains.driver.agent import Agent, AgentError
from domains.driver.rows import contents
from domains.models import (
    DkimKey,
    Domain,
    Incident,
    Kind,
    Mailbox,
    MailboxSuspension,
    MailServer,
    ServerSync,
    ServiceStop,
)
from foundation.unit_of_work import unit_of_work
from mailnode import wire
from tests.domains.real_agent import RealAgent, held, wished

WELL_WITHIN = 30  # seconds
DATABASES = ("db/node.db", "secrets/secrets.db", "usage/usage.db")
ASKS_DNS = "domains.tasks.check_domain"


class Killed(BaseException):
    """The process of the panel ends here."""


class Node(RealAgent):
    """A real agent that may be as on its first day again within milliseconds, running or not."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.running = False
        self.start()
        self.kill()
        self.pristine = self.copy()

    def start(self) -> None:
        if not self.running:
            super().start()
        self.running = True

    def kill(self) -> None:
        super().kill()
        self.running = False

    def forget(self) -> None:
        """Every row, file and revision is as it was before anybody spoke to it."""
        for entry in (self.home / "dkim").iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        subprocess.run(["cp", "-a", f"{self.pristine}/dkim/.", self.home / "dkim"], check=True)
        for name in DATABASES:
            pristine, present = sqlite3.connect(self.pristine / name), sqlite3.connect(self.home / name)
            with contextlib.closing(pristine), contextlib.closing(present):
                pristine.backup(present)

    def swap(self, copy: Path) -> None:
        """Killed, its files replaced by a copy of them, and started again."""
        self.kill()
        self.bring_back(copy)
        self.start()


class World:
    """All of it; `begin` makes everything new."""

    def __init__(self, nodes: list[Node], owner: User, plan: Plan) -> None:
        self.nodes, self.owner, self.plan = nodes, owner, plan
        self.tasks: list[tuple[str, tuple[Any, ...]]] = []
        self.copies: list[tuple[Node, Path]] = []

    def begin(self) -> None:
        for _, copy in self.copies:
            shutil.rmtree(copy.parent)
        self.tasks.clear()
        self.copies.clear()
        self.has_dump = False
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE accounts_customer, domains_mailserver CASCADE")
        caches["volatile"].clear()
        for node in self.nodes:
            node.forget()
            node.start()
            node.enrol()
        self.numbers = itertools.count()

    def new_customer(self) -> Customer:
        """With a plan that runs, and placed on the roomiest server."""
        customer = Customer.objects.create(username=f"c{next(self.numbers)}", name="Some Body")
        customer.activate(by=None)
        order = Order.objects.create(
            customer=customer, placed_by=self.owner, plan=self.plan, period="yearly", amount_minor=100,
            currency="USD", name="A", email=self.owner.email, street="1 Road", city="Leeds", postcode="LS1",
            country="GB", phone="+44 113 496 0000", terms_accepted_at=timezone.now(),
        )  # fmt: skip
        customer.subscriptions.create(
            order=order, plan=self.plan, period="yearly", amount_minor=100, currency="USD"
        )
        with unit_of_work():
            service_started.send(Customer, customer=customer)
        return customer

    @contextlib.contextmanager
    def broker(self) -> Iterator[None]:
        """Whatever is sent inside waits in `tasks`, until somebody delivers it or it is lost."""

        def send(name: str, args: Any = (), kwargs: Any = None, **_: Any) -> None:
            self.tasks.append((name, tuple(args or ())))

        with mock.patch.object(current_app, "send_task", send):
            yield

    def deliver(self, number: int) -> None:
        """Run the task that stands at this place; a worker that fails leaves it at that."""
        name, arguments = self.tasks.pop(number % len(self.tasks))
        if name != ASKS_DNS:
            current_app.tasks[name](*arguments)

    def settle(self) -> None:
        """Let things be well, and the panel's periodic work do its part; within seconds nothing may lag."""
        for node in self.nodes:
            node.start()
        self.pull()
        self.until(lambda: not lagging())

    def decide(self, *, is_panel_right: bool) -> None:
        """Staff look at what differs on servers of lost history, and decide."""
        self.until(lambda: not history.uncompared().exists())
        decision = verdict.panel_is_right if is_panel_right else verdict.server_is_right
        for state in history.halted().select_related("server"):
            decision(state.server, history.token(state), by=self.owner)
        self.until(lambda: not lagging() and not takeover.under_way().exists())

    def digest(self) -> None:
        """Have every server compared, and sent again what differs, until all of it has come about."""
        for server in MailServer.objects.all():
            server.ask_digest(by=None)
        self.until(lambda: not lagging() and not ServerSync.objects.exclude(digest_wanted_at=None).exists())

    def until(self, is_so: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + WELL_WITHIN
        while not is_so():
            assert time.monotonic() < ends_at, complaints()
            self.sweep()

    def sweep(self) -> None:
        """The next sweeps, as if the time until then were over."""
        caches["volatile"].clear()
        ServerSync.objects.exclude(retry_at=None).update(retry_at=timezone.now() - timedelta(seconds=1))
        tasks.sweep_servers()
        tasks.sweep_digests()
        tasks.sweep_histories()
        self.deliver_all()

    def pull(self) -> None:
        """The next look at what the servers report."""
        tasks.pull_usage()
        self.deliver_all()

    def deliver_all(self) -> None:
        while self.tasks:
            self.deliver(0)

    def compare(self) -> None:
        """Every row of every node is what the panel's own things say that it should hold."""
        found = Incident.objects.filter(closed_at=None).values_list("kind", "subject", "text", "rows")
        assert not found, list(found)
        for node in self.nodes:
            server = MailServer.objects.get(name=node.name)
            assert_same(things_of(server), wished(server), f"the index of {node.name}")
            assert_same(wished(server), held(node), node.name)


def lagging() -> bool:
    servers = MailServer.objects.all()
    return (servers.behind() | servers.failing() | servers.rebuild_owed()).exists()


def complaints() -> list[Any]:
    facts = ("server__name", "server__revision", "effective", "failure", "halted_reason", "rebuild_reason")
    return [*ServerSync.objects.values_list(*facts, "digest_wanted_at")]


def things_of(server: MailServer) -> dict[tuple[str, str], Any]:
    """What the server should hold, found without the index of rows."""
    customers = list(Customer.objects.filter(placement__server=server, placement__placed_at__isnull=False))
    keys: dict[Kind, Any] = {
        Kind.CUSTOMER: Customer.objects.filter(pk__in=[customer.pk for customer in customers]),
        Kind.DOMAIN: Domain.objects.live().filter(customer__in=customers),
        Kind.DKIM: DkimKey.objects.filter(domain__customer__in=customers, domain__deleted_at=None),
        Kind.MAILBOX: Mailbox.objects.live().filter(domain__customer__in=customers),
    }
    index = [(kind.value, key) for kind, found in keys.items() for key in found.values_list("pk", flat=True)]
    for states in (
        CustomerSuspension.objects.filter(customer__in=customers),
        ServiceStop.objects.filter(customer__in=customers),
        MailboxSuspension.objects.filter(mailbox__domain__customer__in=customers),
    ):
        index += [
            (Kind.STATE.value, key) for key in states.filter(lifted_at=None).values_list("pk", flat=True)
        ]
    return {(row.kind, row.key): wire.data_of(row) for row in contents(index)}


def assert_same(expected: dict[Any, Any], found: dict[Any, Any], where: str) -> None:
    """Name what differs, without the contents, which are secrets of their kind."""
    wrong = [key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)]
    told = [
        (key, "missing" if key not in found else "too much" if key not in expected else "other")
        for key in wrong
    ]
    assert not wrong, f"{where}: {sorted(told)}"


@contextlib.contextmanager
def dies_at(step: int) -> Iterator[None]:
    """The process ends at its n-th step from here on: before a statement or a call, or after a call whose answer
    never arrives. What it held of the database ends with its connection.
    """
    left = itertools.count(step, -1)
    dead = False

    def count() -> None:
        nonlocal dead
        if not dead and next(left) <= 0:
            dead = True
            raise Killed

    def statement(execute: Callable[..., Any], *args: Any) -> Any:
        count()
        return execute(*args)

    real = Agent._call

    def call(self: Agent, *args: Any, **kwargs: Any) -> Any:
        count()
        reply = real(self, *args, **kwargs)
        count()
        return reply

    with (
        contextlib.suppress(Killed),
        mock.patch.object(Agent, "_call", call),
        connection.execute_wrapper(statement),
    ):
        yield
    if dead:
        connection.close()


@contextlib.contextmanager
def answers_lost(after: int) -> Iterator[None]:
    """Of the next calls the n-th reaches the agent, and its answer does not come back."""
    real, left = Agent._call, itertools.count(after, -1)

    def call(self: Agent, *args: Any, **kwargs: Any) -> Any:
        reply = real(self, *args, **kwargs)
        if next(left) == 0:
            raise AgentError("the line went dead", retry=True)
        return reply

    with mock.patch.object(Agent, "_call", call):
        yield


def unknown_key() -> UUID:
    return UUID("00000000-0000-4000-8000-000000000000")
