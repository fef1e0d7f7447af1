"""Each alarm: something causes it, and it is seen clear again. Facts of servers stand as a report would leave them;
test_alarms_of_workers.py and tests/e2e/test_alarms.py kill real processes.
"""

import time
from datetime import timedelta

import pytest
from django.conf import settings as panel_settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.signals import key_answered
from domains.alarms import ALARMS
from domains.models import (
    Incident,
    IncidentKind,
    IncidentReport,
    MailServer,
    Pulse,
    ServerSync,
    open_incident,
)
from domains.signs import periodic_work
from domains.watch import Watch
from tests.domains.conftest import make_server, settle

DAY = 86_400
REPORTED = {
    "disk_free": 60 * 2**30,
    "disk_total": 100 * 2**30,
    "queue": 3,
    "services": {"keeper": True, "postfix": True, "dovecot": True, "rspamd": True},
    "certificate_not_after": int(time.time()) + 60 * DAY,
    "agent_not_after": int(time.time()) + 600 * DAY,
}
EVERYTHING = {f"queue {queue}" for queue in panel_settings.CANARIES}
EVERYTHING |= {f"task {task}" for task, _, _ in periodic_work().values()}


class Clock:
    """The time that everything here sees; `watch` looks at it."""

    def __init__(self) -> None:
        self.now = timezone.now()
        self.watch = Watch()
        self.silent: set[str] = set()  # pulses and servers that answer no more

    def __call__(self):
        return self.now

    def passes(self, seconds: float) -> None:
        """Time in which somebody watches every few seconds, as it is otherwise."""
        ends_at, step = self.now + timedelta(seconds=seconds), timedelta(seconds=10 if seconds < 300 else 30)
        while self.now < ends_at:
            self.now += min(step, ends_at - self.now)
            self.watch.look()


@pytest.fixture
def clock(monkeypatch, db):
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)
    clock.watch.look()
    return clock


@pytest.fixture
def well(mx1, clock, monkeypatch):
    """mx1 in service; workers, sweeps and servers answer whenever somebody looks, but for those that are silent."""
    settle(mx1)
    look = Watch.look

    def answered(watch):
        pulses = [Pulse(name=name, at=clock.now) for name in EVERYTHING - clock.silent]
        Pulse.objects.bulk_create(pulses, update_conflicts=True, unique_fields=["name"], update_fields=["at"])
        talking = ServerSync.objects.exclude(server__name__in=clock.silent)
        talking.update(contact_at=clock.now, reported_at=clock.now)
        look(watch)

    monkeypatch.setattr(Watch, "look", answered)
    reports(mx1)
    clock.passes(10)
    assert not wrong()
    return mx1


def wrong() -> list[tuple[str, str]]:
    return sorted(Incident.objects.filter(closed_at=None).values_list("kind", "subject"))


def text_of(kind: IncidentKind) -> str:
    return Incident.objects.get(kind=kind, closed_at=None).text


def reports(server: MailServer, **facts) -> None:
    ServerSync.objects.filter(server=server).update(reported={**REPORTED, **facts})


def test_the_table_is_whole():
    assert set(ALARMS) == set(IncidentKind)
    for alarm in ALARMS.values():
        assert alarm.opens.endswith(".")
        assert alarm.closes.endswith(".")
        assert len(alarm.way_out) > 80


def test_behind_for_a_minute(well, clock):
    MailServer.objects.update(revision=5)
    ServerSync.objects.update(failed_at=clock.now, failure="connection refused")
    clock.passes(50)
    assert not wrong()
    clock.passes(30)
    assert wrong() == [("behind", well.name)]
    assert "connection refused" in text_of(IncidentKind.BEHIND)
    MailServer.objects.update(revision=6)  # changes go on
    ServerSync.objects.update(effective=5, failed_at=None)
    clock.passes(10)
    assert not wrong()


def test_a_server_that_keeps_up_is_not_behind(well, clock):
    for _ in range(20):
        MailServer.objects.update(revision=MailServer.objects.get().revision + 1)
        clock.passes(10)
        ServerSync.objects.update(effective=MailServer.objects.get().revision - 1)
    assert not Incident.objects.exists()


def test_a_watch_that_begins_leaves_open_what_it_cannot_judge_yet(well, clock):
    MailServer.objects.update(revision=5)
    clock.passes(70)
    clock.watch = Watch()
    clock.passes(10)
    assert wrong() == [("behind", well.name)]


def test_halted(well, clock, sam):
    ServerSync.objects.update(halted_at=clock.now, halted_reason="A mark was never given.")
    clock.passes(10)
    assert wrong() == [("halted", well.name)]
    assert text_of(IncidentKind.HALTED) == "A mark was never given."
    well.resume(by=sam)
    clock.passes(10)
    assert not wrong()


def test_refused(well, clock):
    ServerSync.objects.update(failed_at=clock.now)
    open_incident(IncidentKind.REFUSED, well.name, "Unknown kind.", server=well)
    clock.passes(30)
    assert ("refused", well.name) in wrong()
    ServerSync.objects.update(failed_at=None)
    clock.passes(10)
    assert not wrong()


def test_foreign(well, clock):
    open_incident(IncidentKind.FOREIGN, well.name, "Usage of others.", server=well)
    clock.passes(3540)
    assert wrong() == [("foreign", well.name)]
    clock.passes(200)
    assert not wrong()


def test_what_a_digest_found_is_closed_by_a_digest_alone(well, clock):
    open_incident(IncidentKind.DIFFERENT, well.name, "3 rows.", server=well)
    clock.passes(600)
    assert wrong() == [("different", well.name)]


def test_silent(well, clock):
    clock.silent.add(well.name)
    clock.passes(110)
    assert not wrong()
    clock.passes(20)
    assert wrong() == [("silent", well.name)]
    clock.silent.clear()
    clock.passes(10)
    assert not wrong()


def test_nobody_is_called_silent_while_nobody_asks(well, clock):
    clock.silent |= EVERYTHING | {well.name}
    clock.passes(300)
    assert wrong() == [("worker", "beat")]


def test_a_service_is_down(well, clock):
    reports(well, services={"postfix": True, "rspamd": False})
    clock.passes(20)
    assert not wrong()  # one report may fall into a restart
    clock.passes(20)
    assert wrong() == [("service", f"rspamd of {well.name}")]
    reports(well)
    clock.passes(10)
    assert not wrong()


def test_services_that_a_server_makes_up_are_one(well, clock):
    reports(well, services={f"made up {number}\nWhat to do: pay": False for number in range(32)})
    clock.passes(40)
    assert wrong() == [("service", f"another service of {well.name}")]
    reports(well)
    clock.passes(10)
    assert not wrong()


def test_a_servers_words_stay_on_one_line(well, clock):
    MailServer.objects.update(revision=5)
    ServerSync.objects.update(failed_at=clock.now, failure="no\r\n\x1bWhat to do:\u2028pay " + "x" * 900)
    clock.passes(80)
    assert "The last call failed: no What to do: pay x" in text_of(IncidentKind.BEHIND)


def test_what_a_silent_server_said_last_stays(well, clock):
    reports(well, services={"keeper": True, "rspamd": False})
    clock.passes(40)
    reports(well, services={"keeper": False})  # which knows nothing of the others
    clock.passes(10)
    clock.silent.add(well.name)
    clock.passes(200)
    assert wrong() == [
        ("service", f"keeper of {well.name}"),
        ("service", f"rspamd of {well.name}"),
        ("silent", well.name),
    ]


@pytest.mark.parametrize(
    ("free", "total", "is_wrong"),
    [
        (4 * 2**30, 100 * 2**30, True),
        (6 * 2**30, 100 * 2**30, False),
        (1 * 2**30, 10 * 2**30, True),
        (0, 0, False),
    ],
)
def test_disk(well, clock, free, total, is_wrong):
    reports(well, disk_free=free, disk_total=total)
    clock.passes(10)
    assert wrong() == ([("disk", well.name)] if is_wrong else [])
    reports(well)
    clock.passes(10)
    assert not wrong()


def test_queue(well, clock):
    reports(well, queue=1000)
    clock.passes(10)
    assert not wrong()
    reports(well, queue=1001)
    clock.passes(10)
    assert wrong() == [("queue", well.name)]
    reports(well, queue=None)
    clock.passes(10)
    assert not wrong()


@pytest.mark.parametrize(
    ("field", "whose"), [("certificate_not_after", "mail"), ("agent_not_after", "agent")]
)
def test_certificates(well, clock, field, whose):
    reports(well, **{field: int(clock.now.timestamp()) + 15 * DAY})
    clock.passes(10)
    assert not wrong()
    reports(well, **{field: int(clock.now.timestamp()) + 13 * DAY})
    clock.passes(10)
    assert wrong() == [("certificate", f"{whose} certificate of {well.name}")]
    assert " ends on " in text_of(IncidentKind.CERTIFICATE)
    reports(well, **{field: 2**53})  # a lie is no certificate at all
    clock.passes(10)
    assert not wrong()


SWEEP = "task domains.tasks.sweep_servers"


def test_a_sweep_that_fails(well, clock):
    clock.silent.add(SWEEP)
    clock.passes(10)
    Pulse.objects.filter(name=SWEEP).update(failed_at=clock.now, failure="KeyError")
    clock.passes(10)
    assert not wrong()  # it may end well at once
    clock.passes(20)
    assert wrong() == [("sweep", "mail servers behind their revision")]
    assert "KeyError" in text_of(IncidentKind.SWEEP)
    clock.silent.clear()
    clock.passes(10)
    assert not wrong()


def test_a_sweep_that_does_not_end(well, clock):
    clock.silent.add(SWEEP)
    clock.passes(80)
    assert wrong() == [("sweep", "mail servers behind their revision")]


@pytest.mark.parametrize(
    ("owed", "since"),
    [
        ("digest_wanted_at", timedelta(hours=6)),
        ("rebuild_wanted_at", timedelta(minutes=15)),
        ("usage_failed_at", timedelta(minutes=10)),
    ],
)
def test_what_is_owed_and_does_not_end(well, clock, owed, since):
    state = ServerSync.objects.filter(server=well)
    state.update(**{owed: clock.now - since + timedelta(minutes=1)})
    clock.passes(30)
    assert wrong() == []
    state.update(**{owed: clock.now - since})
    clock.passes(30)
    assert "is owed since" in Incident.objects.get(kind="sweep", closed_at=None).text
    state.update(**{owed: None})
    clock.passes(10)
    assert not Incident.objects.filter(closed_at=None).exists()


def test_a_silent_queue(well, clock):
    clock.silent.add("queue slow")
    clock.passes(80)
    assert not wrong()
    clock.passes(20)
    assert wrong() == [("worker", "queue slow")]
    clock.silent.clear()
    clock.passes(10)
    assert not wrong()


def test_beat_or_the_broker_is_silent(well, clock):
    clock.silent |= EVERYTHING
    clock.passes(40)
    assert wrong() == [("worker", "beat")]
    clock.passes(600)
    assert wrong() == [("worker", "beat")]  # whatever follows from it is not told beside it
    clock.silent = {pulse for pulse in EVERYTHING if pulse.startswith("task")} | {well.name}
    clock.passes(50)  # nor when the queues work again, and the rest follows
    assert not wrong()
    clock.silent.clear()
    clock.passes(10)
    assert Incident.objects.count() == 1


def test_a_key_that_fraudrecord_refuses_is_told_once(well, clock, settings):
    settings.FRAUDRECORD_API_KEY = "key"
    for _ in range(3):  # as many orders
        key_answered.send(None, refusal="ERR:API")
        clock.passes(60)
    assert wrong() == [("fraudrecord", "FraudRecord")]
    assert "ERR:API" in text_of(IncidentKind.FRAUDRECORD)
    assert Incident.objects.count() == IncidentReport.objects.count() == 1
    key_answered.send(None, refusal="")
    clock.passes(10)
    assert not wrong()


def test_without_a_key_none_is_refused(well, clock, settings):
    settings.FRAUDRECORD_API_KEY = "key"
    key_answered.send(None, refusal="ERR:NOT-APPROVED")
    clock.passes(10)
    assert wrong()
    settings.FRAUDRECORD_API_KEY = ""
    clock.passes(10)
    assert not wrong()


def test_after_an_absence_of_the_watch_nobody_is_called_silent_for_it(well, clock):
    clock.now += timedelta(hours=6)
    ServerSync.objects.update(contact_at=clock.now - timedelta(hours=6))
    Pulse.objects.update(at=clock.now - timedelta(hours=6))
    clock.passes(10)
    assert not wrong()


def test_an_alarm_that_breaks_hides_none_of_the_others(well, clock):
    reports(well, disk_total="a lot")
    ServerSync.objects.update(halted_at=clock.now, halted_reason="Elsewhere.")
    clock.passes(10)
    assert wrong() == [("halted", well.name)]
    assert Pulse.objects.get(name="watch").failure == "TypeError"


def test_a_look_costs_the_same_for_any_number_of_servers(well, clock):
    with CaptureQueriesContext(connection) as one:
        clock.watch.look()
    for number in range(20):
        settle(make_server(f"more{number}.mxpanel.test"))
    with CaptureQueriesContext(connection) as many:
        clock.watch.look()
    assert len(many) == len(one)
