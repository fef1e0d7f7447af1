"""The verbs of hosting, and what may happen on the way to the mail servers, as rules that Hypothesis puts together."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery import current_app
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from accounts.models import Customer, Stop, SuspensionCause
from billing.signals import service_ended, service_started
from domains import purging
from domains.driver.agent import AgentError
from domains.driver.digests import digest
from domains.driver.history import compare
from domains.driver.meeting import pull, try_again
from domains.driver.rebuilding import rebuild
from domains.driver.sync import sync
from domains.driver.takeover import take_over
from domains.driver.tombstones import TOMBSTONES_KEPT, forget_tombstones
from domains.models import Domain, Mailbox, MailServer, ServerRow, add_domain
from domains.models.deletable import DELETED_KEPT
from foundation.unit_of_work import unit_of_work
from tests.domains import lost
from tests.domains.conftest import HASH
from tests.domains.tampering import TAMPERINGS
from tests.domains.world import Node, World, answers_lost, dies_at, unknown_key

OTHER_HASH = HASH[:-1] + "J"
PICKS = st.integers(0, 7)  # which of those that there are
STEPS = st.integers(0, 45)  # at which of its steps a process dies
TASKS = [
    *["sync_server", "sync_slow_server", "pull_server", "rebuild_server", "digest_server", "compare_server"],
    *["take_over_server", "check_domain"],
]
CAUSES = st.sampled_from(SuspensionCause)
STOPS = st.sets(st.sampled_from(sorted(Stop.values)), min_size=1)
WORK = st.sampled_from([sync, try_again, rebuild, digest, pull, compare, take_over])
CUSTOMERS_AT_MOST, THINGS_AT_MOST = 3, 12


class Hosting(RuleBasedStateMachine):
    """Verbs pick what they are done to by a number, so that fewer and smaller verbs are always possible."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.tampered = False
        self.exits = contextlib.ExitStack()
        self.exits.enter_context(self.world.broker())
        self.world.begin()

    @initialize()
    def first_customer(self) -> None:
        add_domain(self.world.new_customer(), "d0.test", by=None)

    def teardown(self) -> None:
        try:
            self.settle(is_panel_right=True)
        finally:
            self.exits.close()
            if self.world.has_dump:
                lost.forget()

    # Verbs

    @rule()
    def add_customer(self) -> None:
        if Customer.objects.count() < CUSTOMERS_AT_MOST:
            self.world.new_customer()

    @rule(pick=PICKS, number=st.integers(1, 3))
    def add_domain(self, pick: int, number: int) -> None:
        with refusals():
            add_domain(pick_of(Customer, pick), f"d{number}.test", by=None)

    @rule(pick=PICKS, verb=st.sampled_from(["delete", "restore"]))
    def change_domain(self, pick: int, verb: str) -> None:
        with refusals():
            getattr(pick_of(Domain, pick), verb)(by=None)

    @rule(pick=PICKS, name=st.sampled_from("ab"), count=st.integers(1, 3))
    def add_mailboxes(self, pick: int, name: str, count: int) -> None:
        """Several are one transaction, so all or none."""
        if Mailbox.objects.count() < THINGS_AT_MOST:
            with refusals(), unit_of_work():
                for number in range(count):
                    pick_of(Domain, pick).add_mailbox(f"{name}{number}", password_hash=HASH, by=None)

    @rule(pick=PICKS, verb=st.sampled_from(["delete", "restore", "unsuspend"]))
    def change_mailbox(self, pick: int, verb: str) -> None:
        self.on_mailbox(pick, verb)

    @rule(pick=PICKS, quota=st.integers(0, 3))
    def change_quota(self, pick: int, quota: int) -> None:
        self.on_mailbox(pick, "change", quota, "Some Body")

    @rule(pick=PICKS, password_hash=st.sampled_from([HASH, OTHER_HASH]))
    def change_password(self, pick: int, password_hash: str) -> None:
        self.on_mailbox(pick, "set_password", password_hash=password_hash)

    @rule(pick=PICKS, stops=STOPS, by_staff=st.booleans(), hours=st.sampled_from([None, 1]))
    def suspend_mailbox(self, pick: int, stops: set[str], by_staff: bool, hours: int | None) -> None:
        until = timezone.now() + timedelta(hours=hours) if hours else None
        self.on_mailbox(pick, "suspend", stops=stops, by_staff=by_staff, until=until)

    @rule(pick=PICKS, stops=STOPS, cause=CAUSES)
    def suspend_customer(self, pick: int, stops: set[str], cause: SuspensionCause) -> None:
        pick_of(Customer, pick).suspend(reason=f"For {cause}", stops=stops, by=None, cause=cause)

    @rule(pick=PICKS, cause=CAUSES)
    def lift_suspension(self, pick: int, cause: SuspensionCause) -> None:
        pick_of(Customer, pick).lift_suspension(by=None, cause=cause)

    @rule(pick=PICKS, ends=st.booleans())
    def service(self, pick: int, ends: bool) -> None:
        signal = service_ended if ends else service_started
        with unit_of_work():
            signal.send(Customer, customer=pick_of(Customer, pick))

    @rule(pick=PICKS)
    def change_of_mind(self, pick: int) -> None:
        """What is undone before it is committed leaves nothing behind."""
        with contextlib.suppress(ZeroDivisionError), refusals(), unit_of_work():
            pick_of(Domain, pick).delete(by=None)
            raise ZeroDivisionError

    @rule(kind=st.sampled_from([Domain, Mailbox]))
    def let_days_pass(self, kind: type[Model]) -> None:
        """What was deleted is purged, as far as its server lets it."""
        kind._default_manager.exclude(deleted_at=None).update(deleted_at=timezone.now() - 2 * DELETED_KEPT)
        purging.purge()

    # The way to the nodes, and what may happen on it

    @precondition(lambda self: self.world.tasks)
    @rule(pick=PICKS, again=st.booleans())
    def deliver(self, pick: int, again: bool) -> None:
        """Some task, also out of its turn and twice."""
        task = self.world.tasks[pick % len(self.world.tasks)]
        self.world.deliver(pick)
        if again:
            self.world.tasks.append(task)

    @precondition(lambda self: self.world.tasks)
    @rule()
    def lose_tasks(self) -> None:
        self.world.tasks.clear()

    @rule(name=st.sampled_from(TASKS))
    def foreign_task(self, name: str) -> None:
        """Ids of nothing, or of something else."""
        key = str(unknown_key()) if name == "check_domain" else 10**9
        current_app.tasks[f"domains.tasks.{name}"](key)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @rule(pick=PICKS)
    def ask_rebuild(self, pick: int) -> None:
        pick_of(MailServer, pick).ask_rebuild(by=None)

    @rule(pick=PICKS)
    def ask_digest(self, pick: int) -> None:
        pick_of(MailServer, pick).ask_digest(by=None)

    @rule()
    def forget_tombstones(self) -> None:
        """Ninety days later."""
        ServerRow.objects.filter(gone=True).update(changed_at=timezone.now() - 2 * TOMBSTONES_KEPT)
        forget_tombstones()

    @rule(pick=PICKS, step=STEPS, work=WORK)
    def worker_dies(self, pick: int, step: int, work: Callable[[int], None]) -> None:
        with dies_at(step), contextlib.suppress(AgentError):
            work(pick_of(MailServer, pick).pk)

    @rule(pick=PICKS, after=st.integers(0, 3), work=WORK)
    def answer_lost(self, pick: int, after: int, work: Callable[[int], None]) -> None:
        with answers_lost(after), contextlib.suppress(AgentError):
            work(pick_of(MailServer, pick).pk)

    @rule(step=STEPS)
    def purge_dies(self, step: int) -> None:
        with dies_at(step):
            self.let_days_pass(Mailbox)

    # The nodes

    @rule(pick=PICKS)
    def kill_agent(self, pick: int) -> None:
        self.node(pick).kill()

    @rule(pick=PICKS)
    def start_agent(self, pick: int) -> None:
        self.node(pick).start()

    @rule(pick=PICKS)
    def copy_files(self, pick: int) -> None:
        node = self.node(pick)
        if not node.running:
            self.world.copies.append((node, node.copy()))

    @precondition(lambda self: self.world.copies)
    @rule(pick=PICKS)
    def bring_back_files(self, pick: int) -> None:
        node, copy = self.world.copies[pick % len(self.world.copies)]
        node.swap(copy)

    @rule(pick=PICKS)
    def wipe_node(self, pick: int) -> None:
        node = self.node(pick)
        node.kill()
        node.forget()

    @rule(pick=PICKS, how=st.sampled_from(sorted(TAMPERINGS)))
    def tamper(self, pick: int, how: str) -> None:
        """Somebody lays hands on a node; nothing but a digest tells."""
        file, sql = TAMPERINGS[how]
        self.node(pick).execute(sql, file=file)
        self.tampered = True

    @rule(pick=PICKS)
    def lose_keys(self, pick: int) -> None:
        for file in (self.node(pick).home / "dkim").glob("*/*.key"):
            file.unlink()
        self.tampered = True

    @rule()
    def keep_dump(self) -> None:
        lost.keep()
        self.world.has_dump = True

    @precondition(lambda self: self.world.has_dump)
    @rule()
    def bring_back_dump(self) -> None:
        """The panel forgets what it did since; its servers do not."""
        lost.bring_back()

    @rule(pick=PICKS)
    def strange_point(self, pick: int) -> None:
        self.node(pick).execute("UPDATE meta SET mark = 'strange' WHERE revision > 0")

    @rule(is_panel_right=st.booleans())
    def settle(self, is_panel_right: bool) -> None:
        self.world.settle()
        self.world.decide(is_panel_right=is_panel_right)
        if self.tampered:
            self.world.digest()
            self.world.digest()  # which finds that all of it is equal now, and closes the incidents
        self.world.compare()

    def node(self, pick: int) -> Node:
        return self.world.nodes[pick % len(self.world.nodes)]

    def on_mailbox(self, pick: int, verb: str, *args: Any, **kwargs: Any) -> None:
        with refusals():
            getattr(pick_of(Mailbox, pick), verb)(*args, by=None, **kwargs)


def pick_of(model: type[Model], pick: int) -> Any:
    """One of those that there are, in the order in which they were made; ValidationError where there is none."""
    order = {Mailbox: "created_at", Domain: "created_at", Customer: "created_at"}.get(model, "pk")
    found = list(model._default_manager.order_by(order))
    if not found:
        raise ValidationError(f"There is no {model.__name__} any more.")
    return found[pick % len(found)]


def refusals() -> contextlib.suppress:
    """What the verbs refuse (a name that is taken, days that are over) changes nothing."""
    return contextlib.suppress(ValidationError)
