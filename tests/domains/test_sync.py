"""The way of a change to a real agent, and everything that may happen to it on the way."""

import threading
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from billing.signals import service_ended, service_started
from domains.driver import sync as syncing
from domains.driver.agent import Agent, AgentError
from domains.driver.pages import next_page
from domains.driver.sync import sync
from domains.models import (
    Domain,
    Mailbox,
    MailServer,
    Placement,
    ServerMark,
    ServerRow,
    ServerSync,
    add_domain,
)
from domains.placement import place
from foundation.unit_of_work import unit_of_work
from mailnode import wire
from tests.domains.conftest import HASH, fresh
from tests.domains.real_agent import held, wished
from tests.domains.settling import settled

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def test_an_empty_server_becomes_effective(agent, server):
    assert agent.point[0] == agent.effective == fresh(server).sync.effective == 1


def test_every_verb_ends_on_the_node(agent, server, hosted, acme, alice):
    anna = hosted.add_mailbox("anna", "a long enough password", by=alice)
    ben = hosted.add_mailbox("ben", password_hash=HASH, quota_mb=0, by=alice)
    sync(server.pk)
    assert settled(agent, server)
    assert anna.is_live
    for verb in (
        lambda: anna.change(2048, "Anna", by=alice),
        lambda: anna.set_password("another long password", by=alice),
        lambda: anna.suspend(stops=["send"], reason="Because", by=alice),
        lambda: anna.suspend(until=timezone.now() + timezone.timedelta(hours=1), by=alice),
        lambda: anna.unsuspend(by=alice),
        lambda: ben.delete(by=alice),
        lambda: hosted.add_mailbox("ben", password_hash=HASH, by=alice).delete(by=alice),
        lambda: Mailbox.objects.get(pk=ben.pk).restore(by=alice),
        lambda: acme.suspend(reason="Unpaid", by=alice),
        lambda: acme.lift_suspension(by=alice),
        lambda: Domain.objects.get(pk=hosted.pk).delete(by=alice),
        lambda: Domain.objects.get(pk=hosted.pk).restore(by=alice),
    ):
        verb()
        assert not settled(agent, server)
        sync(server.pk)
        assert settled(agent, server)
    assert {kind for kind, _ in held(agent)} == {"customer", "domain", "dkim", "mailbox"}


def test_suspending_a_customer_is_one_row(agent, server, hosted, acme):
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    before = fresh(server).revision
    acme.suspend(reason="Unpaid", by=None)
    assert ServerRow.objects.filter(revision__gt=before).count() == 1
    sync(server.pk)
    acme.lift_suspension(by=None)
    sync(server.pk)
    assert settled(agent, server)


def test_service_ends_and_starts_again(agent, server, hosted, acme):
    for _ in range(2):  # signals may come twice
        with unit_of_work():
            service_ended.send(type(acme), customer=acme)
    sync(server.pk)
    (state,) = [data for (kind, _), data in held(agent).items() if kind == "state"]
    assert (state.subject, state.stops) == (acme.pk.hex, ["receive", "send"])
    for _ in range(2):
        with unit_of_work():
            service_started.send(type(acme), customer=acme)
    sync(server.pk)
    assert settled(agent, server)
    assert not [kind for kind, _ in held(agent) if kind == "state"]


def test_placement_follows_the_wish_and_brings_everything(agent, server, acme, subscribe, alice):
    other = MailServer.objects.create(
        name="mx2.mxpanel.test", address="127.0.0.2", agent_url="https://127.0.0.1:9", agent_key="k" * 40,
        certificate_sha256="0" * 64,
    )  # fmt: skip
    ServerSync.objects.create(server=other, reported={"disk_free": 2**50})
    subscribe(acme)
    domain = add_domain(acme, "acme.test", by=alice)  # before there is a server for it
    domain.add_mailbox("anna", password_hash=HASH, by=alice).suspend(by=alice)
    Placement.objects.create(customer=acme, server=server, by=alice)
    place(acme, by=None)
    place(acme, by=None)
    sync(server.pk)
    assert settled(agent, server)
    assert len(wished(server)) == 5
    assert not ServerRow.objects.filter(server=other).exists()


def test_pages_never_split_a_revision(server, hosted, monkeypatch):
    monkeypatch.setattr(wire, "MAX_ROWS", 10)
    for number in range(4):
        with unit_of_work():
            for letter in "abcd":
                hosted.add_mailbox(f"{letter}{number}", password_hash=HASH, by=None)
    page = next_page(server.pk, wire.Point(revision=1, mark=""))
    revisions = dict(ServerRow.objects.filter(server=server).values_list("key", "revision"))
    inside = [revisions[key] for key in revisions if key.hex in {row.key for row in page.rows}]
    assert len(page.rows) <= 10
    assert page.revision == max(inside)
    assert set(inside) == {revision for revision in revisions.values() if revision <= page.revision}


def test_many_rows_go_in_pages(agent, server, hosted):
    sync(server.pk)
    with unit_of_work():
        mailboxes = Mailbox.objects.bulk_create(
            [Mailbox(domain=hosted, local_part=f"m{number}", password_hash=HASH) for number in range(2_500)]
        )
        for mailbox in mailboxes:
            mailbox.record("mailbox.add", None)
    before = ServerMark.objects.count()
    sync(server.pk)
    assert settled(agent, server)
    assert ServerMark.objects.count() == before + 3


def test_answer_lost_goes_on_from_pending(agent, server, hosted, monkeypatch):
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    real = Agent.changes

    def lose(self: Agent, page: wire.Changes) -> None:
        real(self, page)
        raise AgentError("the line went dead", retry=True)

    monkeypatch.setattr(Agent, "changes", lose)
    sync(server.pk)
    assert fresh(server).sync.failure == "the line went dead"
    assert agent.point[0] == fresh(server).sync.pending_revision > fresh(server).sync.confirmed_revision
    monkeypatch.undo()
    hosted.add_mailbox("ben", password_hash=HASH, by=None)
    sync(server.pk)
    assert settled(agent, server)
    assert fresh(server).sync.failed_at is None


def test_wrong_certificate_and_wrong_key_are_refused(agent, server, hosted):
    MailServer.objects.filter(pk=server.pk).update(certificate_sha256="f" * 64)
    sync(server.pk)
    assert "could not be asked" in fresh(server).sync.failure
    agent.enrol()
    wrong = fresh(server)
    wrong.agent_key = "not-the-key-of-this-server"
    wrong.save(update_fields=["agent_key"])
    sync(server.pk)
    assert "401" in fresh(server).sync.failure
    agent.enrol()
    sync(server.pk)
    assert settled(agent, server)


def test_two_at_once_and_the_second_look(agent, server, hosted, monkeypatch):
    """What is committed while another process holds the lock is sent by that process, without another
    hint.
    """
    real = syncing.catch_up
    added = []

    def meanwhile(server_id: int, ends_at: float, **how: Any) -> bool:
        done = real(server_id, ends_at, **how)
        if not added:
            added.append(hosted.add_mailbox("late", password_hash=HASH, by=None))
            thread = threading.Thread(target=_sync_in_thread, args=(server_id,))
            thread.start()
            thread.join()
        return done

    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    monkeypatch.setattr(syncing, "catch_up", meanwhile)
    sync(server.pk)
    assert settled(agent, server)


def _sync_in_thread(server_id: int) -> None:
    sync(server_id)
    connections.close_all()


def test_killed_between_commit_and_hint(agent, server, hosted):
    """Nothing was told to anybody: the sweep finds the server by its revision alone."""
    hosted.add_mailbox("anna", password_hash=HASH, by=None)  # no broker in these tests: the hint is lost
    assert list(MailServer.objects.behind()) == [server]
    sync(server.pk)
    assert not MailServer.objects.behind().exists()


def test_rolled_back_changes_leave_no_trace(agent, server, hosted):
    before = fresh(server).revision

    def fail() -> None:
        with unit_of_work():
            hosted.add_mailbox("ghost", password_hash=HASH, by=None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert fresh(server).revision == before


def test_writers_at_once_leave_revisions_in_order(agent, server, hosted):
    def write(name: str) -> None:
        for number in range(10):
            hosted.add_mailbox(f"{name}{number}", password_hash=HASH, by=None)
        connections.close_all()

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sync(server.pk)
    for thread in threads:
        thread.join()
    sync(server.pk)
    assert settled(agent, server)
    revisions = list(ServerRow.objects.filter(kind="mailbox").values_list("revision", flat=True))
    assert len(revisions) == len(set(revisions)) == 40
