"""The panel's database comes back from an older copy: its mail server halts, both are compared, and staff choose."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import connections
from django.utils import timezone

from accounts.models import AuditEntry, Customer, User
from domains.driver import history, prospects, takeover
from domains.driver.agent import Agent
from domains.driver.digests import digest
from domains.driver.history import Conflict, compare, compare_again, halted, token, uncompared
from domains.driver.rebuilding import rebuild
from domains.driver.rows import read
from domains.driver.stamping import stamp
from domains.driver.sync import sync
from domains.driver.takeover import take_over, under_way
from domains.driver.taking import Taker
from domains.driver.verdict import panel_is_right, server_is_right
from domains.models import (
    Difference,
    DkimKey,
    Domain,
    Incident,
    Kind,
    Mailbox,
    MailServer,
    Placement,
    ServerRow,
    ServerSync,
    add_domain,
)
from foundation.unit_of_work import unit_of_work
from mailnode import wire
from tests.domains import lost
from tests.domains.conftest import HASH, fresh, make_server
from tests.domains.real_agent import RealAgent, held, in_step

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]

LATER_HASH = HASH[:-1] + "J"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def kept(transactional_db: None) -> Iterator[None]:
    yield
    lost.forget()


@pytest.fixture
def halted_server(kept: None, agent: RealAgent, server: MailServer, hosted: Domain, sam: User) -> MailServer:
    """A day's work of all kinds is on the server and lost here; then somebody changes one thing here, and it halts."""
    for name in ("anna", "ben", "dora", "emil"):
        hosted.add_mailbox(name, password_hash=HASH, by=None)
    gone = add_domain(hosted.customer, "gone.test", by=None)
    gone.add_mailbox("gustav", password_hash=HASH, by=None)
    box = {mailbox.local_part: mailbox for mailbox in Mailbox.objects.all()}
    box["emil"].delete(by=None)
    lifted = box["dora"].suspend(stops=["send"], reason="Before", by=sam)
    sync(server.pk)
    lost.keep()
    box["anna"].change(2_000, "", by=None)
    box["anna"].set_password(password_hash=LATER_HASH, by=None)
    box["anna"].suspend(stops=["send"], reason="Later", by=sam)
    hosted.customer.suspend(stops=["receive"], reason="Later, too", by=sam)
    box["ben"].delete(by=None)
    box["dora"].unsuspend(by=sam)
    box["emil"].restore(by=None)
    hosted.add_mailbox("carl", quota_mb=7, password_hash=HASH, by=None)
    add_domain(hosted.customer, "new.test", by=None).add_mailbox("nora", password_hash=HASH, by=None)
    gone.delete(by=None)
    sync(server.pk)
    lost.bring_back()
    assert lifted.lifted_at is None
    Mailbox.objects.get(local_part="gustav").change(3, "", by=None)
    sync(server.pk)
    assert fresh(server).sync.halted_at
    return server


def compared(server: MailServer) -> str:
    compare(server.pk)
    state = fresh(server).sync
    assert state.compared_at, state.compare_failure
    return token(state)


def outcomes(server: MailServer) -> dict[str, tuple[str, str]]:
    found = Difference.objects.filter(server=server)
    return {f"{each.kind} {each.label}": (each.node_right, each.panel_right) for each in found}


def test_both_are_compared_row_by_row(agent, halted_server):
    before, there = fresh(halted_server).revision, held(agent)
    compared(halted_server)
    assert outcomes(halted_server) == {
        "dkim k1._domainkey.gone.test": (prospects.DELETED, prospects.PUT),
        "dkim k1._domainkey.new.test": (prospects.WITH_DOMAIN, prospects.OFF),
        "domain gone.test": (prospects.DELETED, prospects.PUT),
        "domain new.test": (prospects.ADDED, prospects.OFF),
        "mailbox anna@acme.test": (prospects.BECOMES, prospects.CHANGED),
        "mailbox ben@acme.test": (prospects.DELETED, prospects.PUT),
        "mailbox carl@acme.test": (prospects.ADDED, prospects.OFF),
        "mailbox emil@acme.test": (prospects.RESTORED, prospects.OFF),
        "mailbox gustav@gone.test": (prospects.BECOMES, prospects.CHANGED),
        "mailbox nora@new.test": (prospects.ADDED, prospects.OFF),
        "state suspension of anna@acme.test": (prospects.IN_FORCE, prospects.OFF),
        "state suspension of acme": (prospects.IN_FORCE, prospects.OFF),
        "state suspension of dora@acme.test": (prospects.LIFTED, prospects.PUT),
    }
    anna = Difference.objects.get(label="anna@acme.test", kind="mailbox")
    assert (anna.node, anna.panel) == ("quota 2000 MB, another password", "quota 1024 MB, another password")
    text = str(list(Difference.objects.values_list("label", "node", "panel")))
    assert "$argon2id" not in text
    assert "PRIVATE KEY" not in text
    assert (fresh(halted_server).revision, held(agent)) == (before, there), "nothing was changed"
    assert fresh(halted_server).sync.halted_at
    assert not uncompared().exists()
    assert halted().exists()


def test_the_panel_is_right(agent, halted_server, sam):
    panel_is_right(halted_server, compared(halted_server), by=sam)
    state = fresh(halted_server)
    assert state.revision > agent.point[0]
    assert not Incident.objects.filter(kind="halted", closed_at=None).exists()
    sync(halted_server.pk)
    assert not in_step(agent, halted_server), "everything waits for the rebuild"
    rebuild(halted_server.pk)
    sync(halted_server.pk)
    assert in_step(agent, halted_server)
    assert Mailbox.objects.get(local_part="anna").quota_mb == 1024
    entry = AuditEntry.objects.get(action="history.panel_right")
    assert (entry.by, entry.subject, entry.after["differences"]) == (sam, "mx1.mxpanel.test", 13)


def server_as_before_the_loss(server: MailServer) -> None:
    """Everything of the lost day is back, and the sync goes on from where the server is, without a rebuild."""
    box = {mailbox.local_part: mailbox for mailbox in Mailbox.objects.select_related("domain")}
    assert (box["anna"].quota_mb, box["anna"].password_hash, box["anna"].status) == (
        2_000,
        LATER_HASH,
        "suspended",
    )
    assert (box["ben"].status, box["dora"].status, box["emil"].status) == ("deleted", "active", "active")
    assert box["carl"].quota_mb == 7
    assert {name: domain.status for name, domain in _domains().items()} == {
        "acme.test": "active", "gone.test": "deleted", "new.test": "active"
    }  # fmt: skip
    assert box["nora"].domain.dkim_key.public_key
    assert Customer.objects.get().suspension.reason == "Later, too"
    state = fresh(server).sync
    assert (state.halted_at, state.rebuild_wanted_at, state.taking_since) == (None, None, None)


def _domains() -> dict[str, Domain]:
    return {domain.name: domain for domain in Domain.objects.all()}


def test_the_server_is_right(agent, halted_server, sam):
    there, point = held(agent), agent.point
    server_is_right(halted_server, compared(halted_server), by=sam)
    take_over(halted_server.pk)
    assert not Difference.objects.exclude(refused="").exists()
    assert not Difference.objects.filter(taken_at=None).exists()
    server_as_before_the_loss(halted_server)
    assert agent.point == point
    sync(halted_server.pk)
    assert in_step(agent, halted_server)
    assert held(agent) == there
    Mailbox.objects.get(local_part="carl").change(8, "", by=None)
    sync(halted_server.pk)
    assert in_step(agent, halted_server)
    nothing_differs(halted_server)
    audited = AuditEntry.objects.filter(by=sam, subject="carl@acme.test", action="mailbox.add")
    assert audited.count() == 1
    assert AuditEntry.objects.get(action="history.taken").after == {"taken": 13, "refused": 0}


def nothing_differs(server: MailServer) -> None:
    ServerSync.objects.filter(server=server).update(digest_wanted_at=timezone.now())
    digest(server.pk)
    assert fresh(server).sync.digest_at
    assert not Incident.objects.filter(kind="different").exists()


def test_killed_anywhere_and_repeated(agent, halted_server, sam, monkeypatch):
    server_is_right(halted_server, compared(halted_server), by=sam)
    monkeypatch.setattr(takeover, "CHUNK", 2)
    real, calls = takeover.Takeover._settle, []

    def die(*arguments: Any) -> str | None:
        calls.append(arguments)
        if len(calls) % 4 == 0:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(takeover.Takeover, "_settle", die)
    for _ in range(20):
        if not under_way().exists():
            break
        try:
            take_over(halted_server.pk)
        except KeyboardInterrupt:
            continue
    assert len(calls) > 13
    server_as_before_the_loss(halted_server)
    sync(halted_server.pk)
    assert in_step(agent, halted_server)
    assert AuditEntry.objects.filter(subject="carl@acme.test", action="mailbox.add", by=sam).count() == 1
    nothing_differs(halted_server)


def test_what_changed_here_since_the_comparison_stands(agent, halted_server, sam):
    seen = compared(halted_server)
    Mailbox.objects.get(local_part="ben").change(11, "", by=None)
    server_is_right(halted_server, seen, by=sam)
    Mailbox.objects.get(local_part="anna").change(12, "", by=None)
    take_over(halted_server.pk)
    refused = dict(Difference.objects.exclude(refused="").values_list("label", "refused"))
    assert refused == dict.fromkeys(["anna@acme.test", "ben@acme.test"], takeover.CHANGED_SINCE)
    assert Mailbox.objects.get(local_part="ben").status == "active"
    sync(halted_server.pk)
    assert in_step(agent, halted_server)
    nothing_differs(halted_server)


def test_what_is_deleted_while_the_rest_is_sent_stays_deleted(agent, halted_server, sam, monkeypatch):
    ben, real = Mailbox.objects.get(local_part="ben"), takeover.stamp_again

    def deleting(*arguments: Any, **options: Any) -> None:
        ben.delete(by=None)
        real(*arguments, **options)

    seen = compared(halted_server)
    ben.change(3_000, "", by=None)
    monkeypatch.setattr(takeover, "stamp_again", deleting)
    server_is_right(halted_server, seen, by=sam)
    take_over(halted_server.pk)
    assert ServerRow.objects.get(key=ben.pk).gone
    sync(halted_server.pk)
    nothing_differs(halted_server)


def test_two_who_decide_at_once(agent, halted_server, sam):
    seen, outcome = compared(halted_server), []

    def decide(verdict: Any) -> None:
        try:
            verdict(halted_server, seen, by=sam)
            outcome.append("done")
        except Conflict as conflict:
            outcome.append(str(conflict))
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=decide, args=(verdict,)) for verdict in (panel_is_right, server_is_right)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome)[1] == "done"
    assert "Somebody else" in sorted(outcome)[0] or "somebody else" in sorted(outcome)[0]


def test_a_decision_is_bound_to_its_comparison(agent, halted_server, sam):
    with pytest.raises(Conflict):
        panel_is_right(halted_server, "", by=sam)
    seen = compared(halted_server)
    assert compare_again(halted_server, by=sam)
    assert not compare_again(halted_server, by=sam)
    with pytest.raises(Conflict):
        server_is_right(halted_server, seen, by=sam)
    Mailbox.objects.get(local_part="anna").change(5, "", by=None)
    assert compared(halted_server) != seen
    with pytest.raises(Conflict):
        server_is_right(halted_server, seen, by=sam)
    assert not under_way().exists()


def test_no_server_drives_the_counter_beyond_the_wire(agent, halted_server, sam):
    agent.execute("UPDATE meta SET revision = ?", 2**53)
    compare(halted_server.pk)  # it has moved
    seen, before = compared(halted_server), fresh(halted_server).revision
    for verdict in (panel_is_right, server_is_right):
        with pytest.raises(Conflict, match="damaged"):
            verdict(halted_server, seen, by=sam)
    assert fresh(halted_server).revision == before
    assert fresh(halted_server).sync.halted_at


def test_a_server_that_moves_is_compared_again(agent, halted_server, sam):
    seen = compared(halted_server)
    server_is_right(halted_server, seen, by=sam)
    agent.execute("UPDATE meta SET mark = 'elsewhere'")
    take_over(halted_server.pk)
    assert not under_way().exists()
    assert "moved" in fresh(halted_server).sync.compare_failure
    assert list(uncompared())
    assert compared(halted_server) != seen
    state = fresh(halted_server).sync
    agent.execute("UPDATE meta SET mark = ?, revision = ?", state.confirmed_mark, state.confirmed_revision)
    compare_again(halted_server, by=sam)
    compare(halted_server.pk)
    assert "Let the sync go on" in fresh(halted_server).sync.compare_failure


def test_no_suspension_takes_the_place_of_another_customers(server, hosted, sam):
    """Suspensions stand in three tables, and rows name them by their ids alone."""
    other = Customer.objects.create(username="other", name="Other Inc")
    Placement.objects.create(customer=other, server=make_server("mx2.mxpanel.test"), placed_at=timezone.now())
    theirs = other.domains.create(name="held.test").mailboxes.create(local_part="v", password_hash=HASH)
    stopped = theirs.suspend(reason="Spam", by=sam)
    subject = hosted.customer.pk.hex
    lie = wire.State(subject_kind="customer", subject=subject, stops=["send"], reason="A lie", until=None)
    with pytest.raises(ValidationError, match="another customer"):
        Taker(server, sam).take(stopped.pk, lie)
    still = read({Kind.STATE: [stopped.pk]})[Kind.STATE][stopped.pk]
    assert still.subject == theirs.pk.hex


def test_a_server_that_shows_rows_without_end_fills_no_disk(halted_server, monkeypatch, sam):
    """It is not compared any more, staff read why, and letting the sync go on begins anew."""
    monkeypatch.setattr(history, "MOST_ROWS", 2_500)
    asked = []

    def rows(self: Agent, after: str, limit: int = 0) -> wire.RowPage:
        asked.append(after)
        keys = [f"{len(asked) * 1_000 + number:032x}" for number in range(1_000)]
        found = [wire.row("customer", key, wire.Customer(username="x", storage_bytes=None)) for key in keys]
        state = fresh(halted_server).sync
        return wire.RowPage(
            revision=state.halted_revision, mark=state.halted_mark, rows=found, next=f"customer:{keys[-1]}"
        )

    monkeypatch.setattr(Agent, "rows", rows)
    for _ in range(2):
        compare(halted_server.pk)
    assert len(asked) == 3
    assert not Difference.objects.exists()
    assert "no server has" in fresh(halted_server).sync.compare_failure
    assert list(uncompared()), "nothing can be decided about it"
    halted_server.resume(by=sam)
    assert fresh(halted_server).sync.compared_rows == 0


def test_a_server_that_cannot_be_asked_is_compared_later(agent, halted_server):
    agent.kill()
    compare(halted_server.pk)
    assert "could not be asked" in fresh(halted_server).sync.compare_failure
    agent.start()
    compared(halted_server)
    assert not fresh(halted_server).sync.compare_failure


LIES = {
    "domain ours.mxpanel.test": "our own servers", "domain held.test": "another customer",
    "domain foreign.test": "not placed",
    "mailbox x@unknown": "domain is not here", "mailbox huge@acme.test": "plan holds", "mailbox odd@acme.test": "not valid",
    "mailbox cheap@acme.test": "ARGON2ID",
}  # fmt: skip


def test_a_lying_server_gets_only_what_its_customers_may_have(agent, halted_server, sam, mallory, subscribe):
    """What is refused is named with the reason, sent to the server as it stands here, and no customer of another
    server is touched.
    """
    other = Customer.objects.create(username="other", name="Other Inc")
    other.memberships.create(user=mallory, role="owner")
    Placement.objects.create(customer=other, server=make_server("mx2.mxpanel.test"), placed_at=timezone.now())
    theirs = other.domains.create(name="held.test")
    theirs.dkim_keys.create(private_key=KEY, public_key="none")
    victim = theirs.mailboxes.create(local_part="v", password_hash=HASH)
    acme, domain = Customer.objects.get(username="acme"), _domains()["acme.test"].pk.hex
    for name, customer in (("ours.mxpanel.test", acme), ("held.test", acme), ("foreign.test", other)):
        agent.execute("INSERT INTO domains VALUES (?, ?, ?, 1)", uuid4().hex, customer.pk.hex, name)
    boxes = [(uuid4().hex, uuid4().hex, "x", 2**20, HASH), (uuid4().hex, domain, "huge", 2**50, HASH)]
    boxes += [
        (uuid4().hex, domain, "odd", 5, HASH),
        (uuid4().hex, domain, "cheap", 0, "{CRYPT}aaaaaaaaaaaaa"),
    ]
    boxes += [(victim.pk.hex, domain, "v", 2**20, LATER_HASH), (uuid4().hex, domain, "none", 0, "")]
    for key, parent, local_part, quota, secret in boxes:
        agent.execute(
            "INSERT INTO mailboxes (id, domain, local_part, quota_bytes, secret) VALUES (?, ?, ?, ?, '')",
            *(key, parent, local_part, quota),
        )
        agent.execute("INSERT INTO secrets VALUES (?, '', ?)", key, secret, file="secrets/secrets.db")
    agent.execute(
        "INSERT INTO customers (id, username, storage_bytes) VALUES (?, 'other', NULL)", other.pk.hex
    )
    agent.execute("UPDATE customers SET storage_bytes = NULL")
    agent.execute(
        "INSERT INTO states VALUES (?, 'customer', ?, 1, 1, 1, 'a lie', NULL)", uuid4().hex, other.pk.hex
    )
    agent.execute(
        "INSERT INTO states VALUES (?, 'mailbox', ?, 1, 1, 1, 'a lie', NULL)", uuid4().hex, victim.pk.hex
    )
    server_is_right(halted_server, compared(halted_server), by=sam)
    take_over(halted_server.pk)
    refused = {f"{each.kind} {each.label}": each.refused for each in Difference.objects.exclude(refused="")}
    assert len(refused) == 13
    for label, why in LIES.items():
        assert any(
            key.startswith(label.split("@unknown")[0]) and why in text for key, text in refused.items()
        ), label
    victim.refresh_from_db()
    assert (victim.password_hash, victim.domain_id, victim.status) == (HASH, theirs.pk, "active")
    assert not other.suspensions.exists()
    assert not ServerRow.objects.filter(
        server=halted_server, gone=False, key__in=[other.pk, victim.pk, theirs.pk]
    ).exists()
    server_as_before_the_loss_except_customer(halted_server)
    sync(halted_server.pk)
    assert in_step(agent, halted_server)
    nothing_differs(halted_server)


def server_as_before_the_loss_except_customer(server: MailServer) -> None:
    assert Mailbox.objects.filter(local_part__in=["carl", "nora"], deleted_at=None).count() == 2


def test_a_domain_that_changed_hands_is_shown_and_taken(agent, halted_server, sam, mallory, subscribe):
    """Here one customer holds it, on the server another one of the same server."""
    other = Customer.objects.create(username="other", name="Other Inc")
    Placement.objects.create(customer=other, server=halted_server, placed_at=timezone.now())
    other.memberships.create(user=mallory, role="owner")
    subscribe(other)
    theirs = add_domain(other, "moved.test", by=None)
    acme, key = Customer.objects.get(username="acme"), uuid4()
    agent.execute("INSERT INTO domains VALUES (?, ?, 'moved.test', 1)", key.hex, acme.pk.hex)
    seen = compared(halted_server)
    moved = Difference.objects.filter(label="moved.test").values_list("key", "node_right")
    assert dict(moved) == {key: prospects.ADDED, theirs.pk: prospects.DELETED}
    server_is_right(halted_server, seen, by=sam)
    take_over(halted_server.pk)
    holder = Domain.objects.live().get(name="moved.test")
    assert (holder.pk, holder.customer) == (key, acme)


def test_beyond_the_plan_nothing_is_taken(agent, halted_server, sam):
    acme = Customer.objects.get()
    with unit_of_work():
        acme.subscriptions.update(ended_at=timezone.now())
        stamp(acme, Kind.CUSTOMER, acme.pk)
    server_is_right(halted_server, compared(halted_server), by=sam)
    take_over(halted_server.pk)
    refused = dict(Difference.objects.exclude(refused="").values_list("label", "refused"))
    assert "plan holds" in refused["carl@acme.test"]
    assert "domain is not here" in refused["nora@new.test"]
    assert DkimKey.objects.filter(domain__name="new.test").count() == 0
    sync(halted_server.pk)
    assert in_step(agent, halted_server)
