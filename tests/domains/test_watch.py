"""The watch as a process: it works without broker and workers, outlives its database, and stands by for another."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from accounts.models import Notice
from domains.driver.alone import WATCH
from domains.management.commands import watch as command
from domains.models import Incident, Pulse, ServerSync, note_end
from domains.watch import what_is_wrong_with_the_watch
from tests.domains.real_agent import ROOT, environment


@contextmanager
def watching(outbox: Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`manage.py watch` on the test's database, with a broker that nobody reaches."""
    facts = connection.settings_dict
    database = (
        f"postgresql://{facts['USER']}:{facts['PASSWORD']}@{facts['HOST']}:{facts['PORT']}/{facts['NAME']}"
    )
    env = environment(DATABASE_URL=database, REDIS_URL="redis://127.0.0.1:1/0", EMAIL_URL=f"outbox:{outbox}")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "watch"], cwd=ROOT, env=env, stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def eventually(check, seconds=60.0):
    ends_at = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < ends_at, "it does not come about"
        time.sleep(0.1)
    return found


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_killed_watch_tells_each_thing_once(mx1, sam, tmp_path):
    """Killed as soon as it has opened the incident; the next one, without broker and workers, sends the one mail.
    SIGTERM ends it.
    """
    ServerSync.objects.update(halted_at=timezone.now(), halted_reason="A mark was never given.")
    outbox, log = tmp_path / "outbox", tmp_path / "log"
    with watching(outbox, log) as first:
        eventually(lambda: Incident.objects.filter(kind="halted").exists())
        os.kill(first.pid, signal.SIGKILL)
    with watching(outbox, log) as second, watching(outbox, log):
        (path,) = eventually(lambda: outbox.is_dir() and list(outbox.glob("*.eml")))
        assert b"sam@example.test" in path.read_bytes()
        with connection.cursor() as cursor:  # an administrator's command ends the connections of both
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ServerSync.objects.update(halted_at=None)
        eventually(lambda: not Incident.objects.filter(closed_at=None, kind="halted").exists())
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
    assert Notice.objects.exclude(sent_at=None).count() == 1
    assert len(list(outbox.glob("*.eml"))) == 1


def test_it_goes_on_after_the_database_was_away(monkeypatch, caplog):
    """As `repeat` does it with whatever fails."""
    monkeypatch.setattr(command.connection, "close", lambda: None)
    monkeypatch.setattr(command, "EVERY", 0)
    over = command.Event()
    outcomes = [OperationalError("no"), OperationalError("no"), None, None, OperationalError("no"), None]

    def rounds():
        while outcomes:
            if outcome := outcomes.pop(0):
                raise outcome
            yield
        over.set()

    command.repeat(rounds, "look", over)
    assert [record.message for record in caplog.records] == [
        "The watch cannot look: OperationalError",
        "The watch can look again.",
    ] * 2


@pytest.mark.django_db
def test_a_second_one_stands_by(monkeypatch):
    looked: list[object] = []
    monkeypatch.setattr(command.Watch, "look", lambda self: looked.append(self))
    with monkeypatch.context() as patch:
        patch.setattr(command, "alone", taken_by_another)
        assert list(command.looks()) == []
    looks = command.looks()
    next(looks)
    next(looks)
    assert len(looked) == 2
    assert looked[0] is looked[1]
    looks.close()


@contextmanager
def taken_by_another(at: int, number: int) -> Iterator[bool]:
    assert (at, number) == (WATCH, 0)
    yield False


def test_its_own_failure_shows(db):
    assert what_is_wrong_with_the_watch() == "The watch has never run."
    note_end("watch")
    assert what_is_wrong_with_the_watch() == ""
    Pulse.objects.update(at=timezone.now() - timezone.timedelta(minutes=1))
    assert "is silent since" in what_is_wrong_with_the_watch()
    now = timezone.now()
    Pulse.objects.update(at=now, failed_at=now + timezone.timedelta(seconds=1), failure="KeyError")
    assert what_is_wrong_with_the_watch() == "The watch fails: KeyError."
