"""A server that is elsewhere in its history than the panel thought: each case of a 409, on a real agent."""

from datetime import timedelta
from unittest import mock

import pytest
from django.utils import timezone

from domains.driver.agent import Agent
from domains.driver.meeting import try_again
from domains.driver.points import forget_old_marks
from domains.driver.rebuilding import rebuild
from domains.driver.sync import sync
from domains.driver.tombstones import forget_tombstones
from domains.models import Incident, MailServer, ServerMark, ServerRow, ServerSync
from domains.tasks import pull_server
from mailnode import wire
from tests.domains.conftest import HASH, fresh
from tests.domains.dump import dump_of_the_panel
from tests.domains.real_agent import held
from tests.domains.settling import settled

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def add(hosted, server, *names: str) -> None:
    """Add these mailboxes, each sent as a page of its own."""
    for name in names:
        hosted.add_mailbox(name, password_hash=HASH, by=None)
        sync(server.pk)


def test_node_from_an_older_copy_gets_what_it_lacks(agent, server, hosted):
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    sync(server.pk)
    agent.kill()
    copy = agent.copy()
    agent.start()
    for name in ("ben", "carl"):
        hosted.add_mailbox(name, password_hash=HASH, by=None)
        sync(server.pk)
    hosted.mailboxes.get(local_part="anna").delete(by=None)
    sync(server.pk)
    agent.kill()
    agent.bring_back(copy)
    agent.start()
    hosted.add_mailbox("dora", password_hash=HASH, by=None)
    sync(server.pk)
    assert settled(agent, server)


def test_a_node_that_lost_everything_gets_it_as_one_page(agent, server, hosted):
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    sync(server.pk)
    agent.kill()
    agent.wipe()
    agent.start()
    hosted.add_mailbox("ben", password_hash=HASH, by=None)
    sync(server.pk)
    assert settled(agent, server)


def test_a_node_that_lost_too_much_is_rebuilt(agent, server, hosted, monkeypatch):
    sync(server.pk)
    agent.kill()
    agent.wipe()
    agent.start()
    monkeypatch.setattr(wire, "MAX_ROWS", 2)
    hosted.delete(by=None)
    sync(server.pk)
    assert list(MailServer.objects.rebuild_owed()) == [server]
    assert not MailServer.objects.behind().exists()
    assert "holds no rows" in fresh(server).sync.rebuild_reason
    assert agent.point == (0, "")
    rebuild(server.pk)
    assert settled(agent, server)


def test_an_unknown_pair_halts_and_changes_nothing(agent, server, hosted, sam):
    hosted.add_mailbox("anna", password_hash=HASH, by=None)
    sync(server.pk)
    agent.kill()
    agent.execute("UPDATE meta SET mark = 'someone-elses'")
    agent.start()
    before = held(agent)
    hosted.mailboxes.get().delete(by=None)
    sync(server.pk)
    halted = fresh(server)
    assert "never gave it" in halted.sync.halted_reason
    assert held(agent) == before
    assert (halted.sync.halted_revision, halted.sync.halted_mark) == agent.point
    assert Incident.objects.get(kind="halted", closed_at=None).server == server
    assert not MailServer.objects.behind().exists()
    agent.kill()
    agent.execute("UPDATE meta SET mark = ?", halted.sync.confirmed_mark)
    agent.start()
    assert halted.resume(by=sam)
    assert not halted.resume(by=sam)
    assert not Incident.objects.filter(closed_at=None).exists()
    sync(server.pk)
    assert settled(agent, server)


def test_an_older_copy_is_noticed_without_a_change(agent, server, hosted):
    """By the status that is asked for regularly: nothing is owed, so nothing else would tell."""
    add(hosted, server, "anna")
    agent.kill()
    copy = agent.copy()
    agent.start()
    add(hosted, server, "ben")
    agent.kill()
    agent.bring_back(copy)
    agent.start()
    assert not MailServer.objects.behind().exists()
    pull_server(server.pk)
    assert settled(agent, server)


def test_a_status_of_a_strange_point_halts(agent, server, hosted):
    add(hosted, server, "anna")
    agent.kill()
    agent.execute("UPDATE meta SET mark = 'someone-elses'")
    agent.start()
    pull_server(server.pk)
    assert fresh(server).sync.halted_mark == "someone-elses"
    halted_at = fresh(server).sync.halted_at
    pull_server(server.pk)
    assert fresh(server).sync.halted_at == halted_at


def test_a_copy_from_below_the_floor_is_rebuilt(agent, server, hosted):
    """It holds what was removed since, and the panel has forgotten that."""
    add(hosted, server, "anna", "ben")
    agent.kill()
    copy = agent.copy()
    agent.start()
    hosted.mailboxes.get(local_part="ben").delete(by=None)
    sync(server.pk)
    add(hosted, server, "carl")
    long_ago = timezone.now() - timedelta(days=100)
    ServerRow.objects.filter(gone=True).update(changed_at=long_ago)
    ServerMark.objects.exclude(revision=fresh(server).revision).update(given_at=long_ago)
    forget_tombstones()
    forget_old_marks()
    agent.kill()
    agent.bring_back(copy)
    agent.start()
    add(hosted, server, "dora")
    assert "is forgotten here" in fresh(server).sync.rebuild_reason
    rebuild(server.pk)
    assert settled(agent, server)
    assert len(held(agent)) == 6  # customer, domain, DKIM key; anna, carl and dora


def test_a_server_that_was_away_longer_than_tombstones_are_kept(agent, server, hosted):
    add(hosted, server, "anna")
    agent.kill()
    hosted.mailboxes.get().delete(by=None)
    ServerRow.objects.filter(gone=True).update(changed_at=timezone.now() - timedelta(days=100))
    forget_tombstones()
    sync(server.pk)
    agent.start()
    rebuild(server.pk)
    assert settled(agent, server)


def test_a_server_back_after_six_hours(agent, server, hosted):
    add(hosted, server, "anna")
    agent.kill()
    for number in range(30):
        hosted.add_mailbox(f"m{number}", password_hash=HASH, by=None)
    hosted.mailboxes.get(local_part="anna").delete(by=None)
    for _ in range(12):
        try_again(server.pk)
    six_hours_ago = timezone.now() - timedelta(hours=6)
    ServerSync.objects.update(failed_at=six_hours_ago, contact_at=six_hours_ago, failures=5000)
    away = fresh(server).sync
    assert (away.retry_at - timezone.now()).total_seconds() < 3.1
    assert ServerMark.objects.filter(revision__gt=away.confirmed_revision).count() == 0
    agent.start()
    try_again(server.pk)
    assert settled(agent, server)
    assert fresh(server).sync.failed_at is None


def test_the_panel_from_an_old_dump_halts_and_changes_nothing(agent, server, hosted):
    """The dump knows nothing of what the node has since been told."""
    add(hosted, server, "anna")
    with dump_of_the_panel():
        add(hosted, server, "ben", "carl")
        hosted.mailboxes.get(local_part="anna").delete(by=None)
        sync(server.pk)
    assert [mailbox.local_part for mailbox in hosted.mailboxes.all()] == ["anna"]
    before, point = held(agent), agent.point
    hosted.add_mailbox("dora", password_hash=HASH, by=None)
    for _ in range(3):
        sync(server.pk)
        pull_server(server.pk)
    halted = fresh(server).sync
    assert (halted.halted_revision, halted.halted_mark) == agent.point == point
    assert held(agent) == before
    assert Incident.objects.get(closed_at=None).kind == "halted"
    assert not MailServer.objects.behind().exists()
    ServerSync.objects.update(rebuild_wanted_at=timezone.now())
    rebuild(server.pk)
    assert held(agent) == before


def test_the_dump_is_noticed_without_a_change(agent, server, hosted):
    with dump_of_the_panel():
        add(hosted, server, "anna")
    pull_server(server.pk)
    assert fresh(server).sync.halted_at


def test_a_node_that_is_elsewhere_each_time_is_left_alone(mx1, domain, monkeypatch):
    """Each of the points it names was given to it, and no page of ours ever begins where it is."""
    points = [wire.Point(revision=number % 2 + 1, mark=f"m{number % 2}") for number in range(2)]
    for point in points:
        ServerMark.objects.create(server=mx1, revision=point.revision, mark=point.mark)
    MailServer.objects.update(revision=9)
    changes = mock.Mock(side_effect=points * 10)
    monkeypatch.setattr(Agent, "changes", changes)
    sync(mx1.pk)
    assert changes.call_count == 4
    assert "another revision each time" in fresh(mx1).sync.failure
