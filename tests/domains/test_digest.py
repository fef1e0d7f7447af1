"""Digests of a real agent whose files somebody tampered with: what differs is found, sent again, and told."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import Customer, User
from domains import tasks
from domains.driver import digests
from domains.driver.agent import Agent
from domains.driver.digests import digest, owed, want_nightly
from domains.driver.rebuilding import rebuild
from domains.driver.sync import catch_up, sync
from domains.models import Domain, Incident, Mailbox, MailServer, Placement, ServerRow, ServerSync
from foundation.unit_of_work import unit_of_work
from mailnode import wire
from tests.domains.conftest import HASH, fresh, make_server
from tests.domains.real_agent import RealAgent, in_step

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]

OTHER_HASH = HASH[:-1] + "J"


@pytest.fixture
def anna(hosted: Domain, server: MailServer, sam: User) -> Mailbox:
    """anna@acme.test, with every kind of row on the node, all of it effective."""
    anna = hosted.add_mailbox("anna", password_hash=HASH, by=None)
    anna.suspend(stops=["send"], reason="Holiday", by=sam)
    hosted.customer.suspend(stops=["send"], reason="Unpaid", by=sam)
    sync(server.pk)
    return anna


def look(server: MailServer) -> list[Any]:
    """Digest now; the rows of the incident that is open then. The digest that opens it wants another one."""
    ServerSync.objects.filter(server=server, digest_wanted_at=None).update(digest_wanted_at=timezone.now())
    known = {*Incident.objects.filter(closed_at=None)}
    digest(server.pk)
    state = fresh(server).sync
    assert state.digest_after == ""
    assert state.digest_at
    incident = Incident.objects.filter(kind="different", closed_at=None).first()
    assert bool(state.digest_wanted_at) == (incident is not None and incident not in known)
    return sorted(incident.rows) if incident else []


def test_what_is_equal_is_left_alone(agent, server, anna):
    before = fresh(server).revision
    assert look(server) == []
    assert fresh(server).revision == before
    assert not Incident.objects.exists()


def tamper(sql: str, *values: Any, file: str = "db/node.db") -> Callable[[RealAgent], None]:
    return lambda agent: agent.execute(sql, *values, file=file)


def change_key(agent: RealAgent) -> None:
    path = agent.home / "dkim/acme.test/k1.key"
    path.write_text("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n")


def remove_key(agent: RealAgent) -> None:
    (agent.home / "dkim/acme.test/k1.key").unlink()


def break_key(agent: RealAgent) -> None:
    (agent.home / "dkim/acme.test/k1.key").write_bytes(b"\xff\xfe")


def silence_key(agent: RealAgent) -> None:
    """With this name Rspamd signs nothing with it."""
    key = agent.home / "dkim/acme.test/k1.key"
    key.rename(key.with_suffix(".kept"))


def add_state(agent: RealAgent) -> None:
    agent.execute(
        "INSERT INTO states VALUES (?, 'customer', ?, 1, 1, 1, 'by hand', NULL)", uuid4().hex, uuid4().hex
    )


TAMPERING = {
    "mailbox gone": (tamper("DELETE FROM mailboxes"), "mailbox", "missing"),
    "quota changed": (tamper("UPDATE mailboxes SET quota_bytes = 1"), "mailbox", "different"),
    "password changed": (
        tamper("UPDATE secrets SET hash = ?", OTHER_HASH, file="secrets/secrets.db"), "mailbox", "different"
    ),
    "domain gone": (tamper("DELETE FROM domains"), "domain", "missing"),
    "customer gone": (tamper("DELETE FROM customers"), "customer", "missing"),
    "storage changed": (tamper("UPDATE customers SET storage_bytes = 7"), "customer", "different"),
    "key's row gone": (tamper("DELETE FROM dkim"), "dkim", "missing"),
    "key's file changed": (change_key, "dkim", "different"),
    "key's file gone": (remove_key, "dkim", "different"),
    "key's file garbage": (break_key, "dkim", "different"),
    "key silenced": (silence_key, "dkim", "different"),
    "states gone": (tamper("DELETE FROM states"), "state", "missing"),
    "state changed": (tamper("UPDATE states SET receive = 1"), "state", "different"),
    "mailbox more": (
        tamper(
            "INSERT INTO mailboxes (id, domain, local_part, quota_bytes, secret)"
            " SELECT ?, domain, 'ghost', 0, secret FROM mailboxes",
            uuid4().hex,
        ),
        "mailbox",
        "only",
    ),
    "domain more": (
        tamper("INSERT INTO domains VALUES (?, ?, 'ghost.test', 1)", uuid4().hex, uuid4().hex), "domain", "only"
    ),
    "customer more": (
        tamper("INSERT INTO customers (id, username, storage_bytes) VALUES (?, 'ghost', 1)", uuid4().hex),
        "customer",
        "only",
    ),
    "state of nobody": (add_state, "state", "only"),
    "mailbox of no domain": (
        tamper(
            "INSERT INTO mailboxes (id, domain, local_part, quota_bytes, secret) VALUES (?, ?, 'ghost', 0, '')",
            *(uuid4().hex, uuid4().hex),
        ),
        "mailbox",
        "only",
    ),
}  # fmt: skip


def test_tampering_is_found_and_undone(agent, server, anna):
    for case, (by_hand, kind, what) in TAMPERING.items():
        by_hand(agent)
        rows = look(server)
        assert (kind, what) in {(row[0], row[2].rpartition(": ")[2].split()[0]) for row in rows}, (case, rows)
        assert "ARGON2ID" not in str(rows)
        sync(server.pk)
        assert in_step(agent, server), case
        still_open = Incident.objects.get(closed_at=None)
        assert still_open.count == len(rows)
        assert look(server) == [], case
        still_open.refresh_from_db()
        assert still_open.closed_at


def test_a_mailbox_in_another_domain_leads_to_a_rebuild(agent, server, anna):
    other = make_domain(anna.customer, "other.test", 0)
    sync(server.pk)
    agent.execute("UPDATE mailboxes SET domain = ?", other.pk.hex)
    look(server)
    assert fresh(server).sync.rebuild_wanted_at
    assert not ServerRow.objects.filter(key=anna.pk, gone=True).exists()


def test_a_server_that_claims_rows_of_another_server_gets_nothing_of_them(agent, server, anna, mallory):
    """What it says it holds is removed from it, and what the other server's customer really has is never sent."""
    other = Customer.objects.create(username="other", name="Other Inc")
    Placement.objects.create(customer=other, server=make_server("mx2.mxpanel.test"), placed_at=timezone.now())
    foreign = make_domain(other, "foreign.test", 1)
    mailbox, key = foreign.mailboxes.get(), foreign.dkim_keys.get()
    agent.execute("INSERT INTO customers (id, username, storage_bytes) VALUES (?, 'other', 1)", other.pk.hex)
    agent.execute("INSERT INTO domains VALUES (?, ?, 'foreign.test', 1)", foreign.pk.hex, other.pk.hex)
    agent.execute(
        "INSERT INTO mailboxes (id, domain, local_part, quota_bytes, secret) VALUES (?, ?, 'm0', 7, '')",
        *(mailbox.pk.hex, foreign.pk.hex),
    )
    agent.execute("INSERT INTO dkim VALUES (?, ?, 'k1', 1, '')", key.pk.hex, foreign.pk.hex)
    assert {row[0] for row in look(server)} == {"customer", "domain", "mailbox", "dkim"}
    sync(server.pk)
    assert in_step(agent, server)
    assert agent.query("SELECT count(*) FROM mailboxes") == [(1,)]
    assert not agent.query(
        "SELECT 1 FROM secrets WHERE mailbox = ?", mailbox.pk.hex, file="secrets/secrets.db"
    )
    assert look(server) == []


def test_a_row_that_the_node_would_refuse_leads_to_a_rebuild(agent, server, anna):
    """A mailbox never changes its address, so no page of changes puts that right."""
    agent.execute("UPDATE mailboxes SET local_part = 'mallory'")
    assert [row[2] for row in look(server)] == ["anna@acme.test: different on the server"]
    assert "rebuild" not in fresh(server).sync.failure
    assert fresh(server).sync.rebuild_wanted_at
    assert not owed().exists()
    rebuild(server.pk)
    sync(server.pk)
    assert in_step(agent, server)
    assert look(server) == []


def test_very_much_that_differs_leads_to_a_rebuild(agent, server, anna, monkeypatch):
    monkeypatch.setattr(digests, "MOST_MENDED", 1)
    agent.execute("DELETE FROM mailboxes")
    agent.execute("DELETE FROM dkim")
    assert len(look(server)) > 1
    assert fresh(server).sync.rebuild_wanted_at


def test_a_killed_digest_goes_on_where_it_was(agent, server, hosted, monkeypatch):
    hosted.add_mailbox("m0", password_hash=HASH, by=None)  # so that whichever domain comes first has one
    for name in ("b.test", "c.test", "d.test"):
        make_domain(hosted.customer, name, 2)
    sync(server.pk)
    monkeypatch.setattr(digests, "DOMAINS", 1)
    steps: list[str] = []
    real = digests.Walk._domains

    def die(walk: Any, after: str) -> Any:
        steps.append(after)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return real(walk, after)

    monkeypatch.setattr(digests.Walk, "_domains", die)
    agent.execute("DELETE FROM mailboxes WHERE domain = (SELECT min(id) FROM domains)")
    missing = Mailbox.objects.count() - agent.query("SELECT count(*) FROM mailboxes")[0][0]
    with pytest.raises(KeyboardInterrupt):
        look(server)
    assert Incident.objects.get().count == missing
    digest(server.pk)
    ids = sorted(domain.hex for domain in Domain.objects.values_list("pk", flat=True))
    assert steps == ["", ids[0], ids[1], ids[1], ids[2]]
    sync(server.pk)
    assert in_step(agent, server)
    assert Incident.objects.get().closed_at is None, "found by this very digest"
    look(server)
    assert Incident.objects.get().closed_at


def make_domain(customer: Customer, name: str, mailboxes: int) -> Domain:
    """A domain with its key (not a real one) and mailboxes, in one unit."""
    with unit_of_work():
        domain = customer.domains.create(name=name)
        key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
        domain.dkim_keys.create(private_key=key, public_key="none")
        domain._stamp()
        made = Mailbox.objects.bulk_create(
            Mailbox(domain=domain, local_part=f"m{number}", password_hash=HASH) for number in range(mailboxes)
        )
        for mailbox in made:
            mailbox.record("mailbox.add", None)
    return domain


def test_deleted_domains_keep_their_mailboxes_on_the_node(agent, server, hosted, anna):
    hosted.delete(by=None)
    Customer.objects.get().lift_suspension(by=None)
    anna.delete(by=None)
    sync(server.pk)
    assert look(server) == []
    agent.execute("DELETE FROM states")
    assert [row[0] for row in look(server)] == ["state"]


def test_a_server_that_cannot_be_asked_is_waited_for(agent, server, anna):
    state = ServerSync.objects.filter(server=server)
    for why in ("halted_at", "failed_at", "rebuild_wanted_at"):
        state.update(**{why: timezone.now()}, digest_wanted_at=timezone.now())
        digest(server.pk)
        assert fresh(server).sync.digest_wanted_at, why
        assert not owed().exists()
        state.update(**{why: None})
    agent.execute("UPDATE meta SET mark = 'elsewhere'")
    digest(server.pk)
    assert fresh(server).sync.digest_wanted_at
    assert not Incident.objects.filter(kind="different").exists()


def test_what_changes_meanwhile_is_not_taken_for_a_difference(agent, server, hosted, anna, monkeypatch):
    """Changes are committed between the sync and the look, in every step."""
    real = digests.wishes.of_domains
    number = iter(range(100))

    def later(*arguments: Any) -> Any:
        _beside(
            lambda: Domain.objects.get(pk=hosted.pk).add_mailbox(
                f"late{next(number)}", password_hash=HASH, by=None
            )
        )
        return real(*arguments)

    def changed(*arguments: Any) -> bool:
        done = catch_up(*arguments)
        _beside(lambda: anna.change(next(number), "", by=None))
        return done

    monkeypatch.setattr(digests, "catch_up", changed)
    monkeypatch.setattr(digests.wishes, "of_domains", later)
    anna.change(500, "", by=None)
    assert look(server) == []
    assert next(number) > 2


def test_a_change_that_came_meanwhile_is_sent_without_a_further_hint(
    agent, server, hosted, anna, monkeypatch
):
    """Whoever wanted to send it found the lock taken and went away again."""
    real = digests.wishes.counts

    def late(*arguments: Any) -> Any:
        _beside(lambda: hosted.add_mailbox("late", password_hash=HASH, by=None))
        _beside(lambda: sync(server.pk))
        return real(*arguments)

    monkeypatch.setattr(digests.wishes, "counts", late)
    assert look(server) == []
    assert in_step(agent, server)
    assert agent.query("SELECT 1 FROM mailboxes WHERE local_part = 'late'")


def _beside(work: Callable[[], Any]) -> None:
    """In a transaction of its own, as another process would."""
    import threading

    from django.db import connections

    def run() -> None:
        work()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_the_sync_is_held_off_briefly_and_the_cost_of_a_step_is_fixed(
    agent, server, hosted, monkeypatch, django_assert_max_num_queries
):
    for number in range(30):
        make_domain(hosted.customer, f"d{number}.test", 20)
    sync(server.pk)
    held: list[float] = []
    real = digests.still

    from contextlib import contextmanager

    @contextmanager
    def measured(*arguments: Any) -> Any:
        with real(*arguments) as point:
            begun = time.monotonic()
            yield point
            held.append(time.monotonic() - begun)

    monkeypatch.setattr(digests, "still", measured)
    with django_assert_max_num_queries(90):
        assert look(server) == []
    for _ in range(4):  # while other tests have the processors it may take longer
        if max(held) < 1:
            break
        held.clear()
        assert look(server) == []
    assert max(held) < 1


def test_nightly(server):
    state = ServerSync.objects.filter(server=server)
    want_nightly()
    assert state.get().digest_wanted_at is None, "enrolled after the last night"
    MailServer.objects.filter(pk=server.pk).update(enrolled_at=timezone.now() - timedelta(days=2))
    want_nightly()
    wanted = state.get().digest_wanted_at
    assert wanted
    want_nightly()
    assert state.get().digest_wanted_at == wanted
    tasks.digest_server(server.pk)
    want_nightly()
    assert state.get().digest_wanted_at is None
    state.update(digest_at=datetime.now(UTC) - timedelta(hours=25))
    want_nightly()
    assert state.get().digest_wanted_at


def test_twice_at_once_is_once(agent, server, anna, monkeypatch):
    from domains.driver.alone import DIGEST

    ServerSync.objects.filter(server=server).update(digest_wanted_at=timezone.now())
    monkeypatch.setattr(digests.Walk, "run", lambda *_: pytest.fail("a second digest"))

    def other() -> None:
        with digests.alone(DIGEST, server.pk) as mine:
            assert mine
            _beside(lambda: digest(server.pk))

    other()


def test_a_server_that_leads_on_for_ever_keeps_no_worker(agent, server, anna, monkeypatch):
    """The digest stays owed, and goes on from where it was."""
    empty = digests.summary([])
    asked = []

    def lead_on(self: Agent, after: str, limit: int) -> wire.Digests:
        asked.append(after)
        domain = f"f{len(asked):031x}"
        page = [wire.DomainDigest(domain=domain, count=empty[0], sha256=empty[1])]
        point = fresh(server).sync
        return wire.Digests(
            revision=point.confirmed_revision, mark=point.confirmed_mark, domains=page, rows={}, next=domain
        )

    monkeypatch.setattr(digests, "RUN_SECONDS", 0.5)
    monkeypatch.setattr(Agent, "digests", lead_on)
    ServerSync.objects.update(digest_wanted_at=timezone.now())
    digest(server.pk)
    assert len(asked) > 1
    state = fresh(server).sync
    assert state.digest_wanted_at
    assert state.digest_after.startswith("domain:f")
