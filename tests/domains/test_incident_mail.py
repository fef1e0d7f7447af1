"""What staff are told of incidents, and how often: one mail for what goes together, nothing lost, nothing doubled."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.utils import timezone

from accounts import notices
from accounts.models import Notice
from domains import incident_mail
from domains.incident_mail import SETTLES, deliver_reports, owe_report
from domains.models import Incident, IncidentKind, IncidentReport, close_incident, open_incident


class Clock:
    def __init__(self) -> None:
        self.now = timezone.now()

    def __call__(self):
        return self.now

    def passes(self, **time: float) -> list[str]:
        """Let time pass as the watch does; the subjects of the mails that went out."""
        mail.outbox.clear()
        ends_at = self.now + timedelta(**time)
        while self.now < ends_at:
            self.now += min(timedelta(seconds=10), ends_at - self.now)
            owe_report()
            deliver_reports()
        return [message.subject for message in mail.outbox]


@pytest.fixture
def clock(monkeypatch, sam):
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)
    return clock


def disk(mx1):
    return open_incident(IncidentKind.DISK, mx1.name, "mx1.mxpanel.test has 1.0 of 10.0 GB left.", server=mx1)


def disk_is_well(mx1):
    assert close_incident(IncidentKind.DISK, mx1.name)


def test_one_mail_when_it_opens_and_one_when_it_is_over(clock, mx1, settings):
    settings.PANEL_URL = "https://panel.example"
    incident = disk(mx1)
    assert clock.passes(minutes=5) == ["Disk is filling up: mx1.mxpanel.test"]
    (message,) = mail.outbox
    assert message.to == ["sam@example.test"]
    html = message.alternatives[0][0]
    for body in (message.body, html):
        assert incident.text in body
        assert incident.way_out.split(".")[0] in body
        assert f"https://panel.example/admin/domains/mailserver/{mx1.pk}/change/" in body
        assert "https://panel.example/admin/" in body
    disk_is_well(mx1)
    assert clock.passes(minutes=5) == ["Over: disk is filling up: mx1.mxpanel.test"]
    assert clock.passes(hours=2) == []


def test_what_opens_together_is_one_mail(clock, mx1):
    disk(mx1)
    open_incident(IncidentKind.SERVICE, "rspamd of mx1", "It does not answer <here>.", server=mx1)
    open_incident(IncidentKind.WORKER, "queue slow", "No answer.")
    assert clock.passes(minutes=1) == ["3 new incidents"]
    assert "It does not answer <here>." in mail.outbox[0].body
    assert "It does not answer &lt;here&gt;." in mail.outbox[0].alternatives[0][0]
    disk_is_well(mx1)
    close_incident(IncidentKind.WORKER, "queue slow")
    assert clock.passes(minutes=1) == ["2 incidents are over"]


def test_mails_keep_a_distance(clock, mx1):
    disk(mx1)
    assert len(clock.passes(seconds=10)) == 1
    for number in range(6):
        open_incident(IncidentKind.SERVICE, f"s{number}", "It does not answer.")
        clock.passes(seconds=5)
    clock.passes(seconds=60)
    assert Notice.objects.count() <= 4


def test_an_incident_that_flaps_is_one_and_told_once_an_hour(clock, mx1):
    first = disk(mx1)
    told = clock.passes(minutes=1)
    for _ in range(40):  # nearly an hour
        disk_is_well(mx1)
        told += clock.passes(seconds=40)
        assert disk(mx1) == first
        told += clock.passes(seconds=40)
    assert told == ["Disk is filling up: mx1.mxpanel.test", "Over: disk is filling up: mx1.mxpanel.test"]
    assert clock.passes(minutes=30) == ["Disk is filling up: mx1.mxpanel.test"]  # it stayed
    assert "came back 40 times" in mail.outbox[0].body
    assert Incident.objects.count() == 1


def test_what_comes_back_later_is_another_one(clock, mx1):
    first = disk(mx1)
    clock.passes(minutes=1)
    disk_is_well(mx1)
    clock.passes(minutes=20)
    assert disk(mx1) != first
    assert clock.passes(minutes=1) == ["Disk is filling up: mx1.mxpanel.test"]


def test_what_was_over_before_anybody_heard_of_it_is_told_in_one_mail(clock, mx1):
    disk(mx1)
    disk_is_well(mx1)
    clock.now += timedelta(minutes=1)  # the watch was away
    assert clock.passes(minutes=5) == ["Over: disk is filling up: mx1.mxpanel.test"]


def test_a_watch_killed_after_it_noted_the_mail_loses_and_doubles_none(clock, mx1):
    disk(mx1)
    clock.now += timedelta(seconds=10)
    assert owe_report()  # and killed
    assert len(clock.passes(minutes=1)) == 1
    assert clock.passes(hours=1) == []


def test_a_watch_killed_before_it_is_noted_has_noted_nothing(clock, mx1, monkeypatch):
    disk(mx1)
    clock.now += timedelta(seconds=10)

    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(incident_mail.notices, "owe_notice", killed)
        with pytest.raises(SystemExit):
            owe_report()
    assert len(clock.passes(minutes=1)) == 1


def test_a_mail_server_that_is_away_delays_it_only(clock, mx1, monkeypatch):
    disk(mx1)
    with monkeypatch.context() as patch:
        patch.setattr(notices, "_message", lambda *_: (_ for _ in ()).throw(OSError("refused")))
        assert clock.passes(minutes=3) == []
    assert len(clock.passes(minutes=10)) == 1


def test_who_is_told(clock, mx1, person, alice):
    looks = person("looks@example.test", is_staff=True)
    looks.user_permissions.add(Permission.objects.get(codename="view_mailserver"))
    person("writes-invoices@example.test", is_staff=True)
    person("gone@example.test", is_staff=True, is_superuser=True, is_active=False)
    disk(mx1)
    clock.passes(minutes=1)
    assert sorted(mail.outbox[0].to) == ["looks@example.test", "sam@example.test"]


def test_that_nobody_is_told_stands_in_the_log(clock, mx1, sam, caplog):
    sam.is_active = False
    sam.save()
    disk(mx1)
    assert clock.passes(minutes=1) == []
    assert "told to nobody" in caplog.text


def test_a_clock_that_was_set_back_holds_up_no_mail(db):
    IncidentReport.objects.create(at=timezone.now() + timedelta(hours=1), opened=[], closed=[])
    open_incident(IncidentKind.WORKER, "queue slow", "No answer.")
    Incident.objects.update(opened_at=timezone.now() - SETTLES)
    assert owe_report()
