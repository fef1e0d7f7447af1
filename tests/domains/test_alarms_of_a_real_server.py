"""What a real agent reports is what the alarms look at: each is caused by a stricter setting, or by the agent's end, and
seen clear again.
"""

import time

import pytest
from django.utils import timezone

from domains.driver import meeting
from domains.driver.sync import sync
from domains.models import Incident, MailServer, note_end
from domains.watch import Watch
from tests.domains.real_agent import RealAgent

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]


def wrong() -> set[str]:
    return set(Incident.objects.filter(closed_at=None).values_list("kind", flat=True))


def test_from_the_report_to_the_incident(settings, monkeypatch):
    agent = RealAgent("mx1.mxpanel.test")
    try:
        agent.start()
        server = agent.enrol()
        watch = Watch()

        def look() -> set[str]:
            for queue in settings.CANARIES:
                note_end(f"queue {queue}")
            meeting.pull(server.pk)
            watch.look()
            return wrong()

        sync(server.pk)
        assert look() == set()
        tighten(settings)
        assert look() == {"disk", "certificate"}
        assert set(Incident.objects.filter(kind="certificate").values_list("subject", flat=True)) == {
            f"{whose} certificate of {server.name}" for whose in ("mail", "agent")
        }
        slacken(settings)
        assert look() == set()
        # There is no keeper beside this agent: it says so in every report.
        later = timezone.now() + timezone.timedelta(seconds=26)
        with monkeypatch.context() as patch:
            patch.setattr(timezone, "now", lambda: later)
            watch.look()
        assert wrong() == {"service"}
        agent.kill()
        settings.ALARM_SILENT_SECONDS = 1.0
        time.sleep(1.1)
        assert "silent" in look()
        settings.ALARM_SILENT_SECONDS = 60.0  # its answer may be seconds old on a busy machine
        agent.start()
        meeting.try_again(server.pk)
        assert "silent" not in look()
    finally:
        agent.stop()


def tighten(settings) -> None:
    settings.ALARM_DISK_GB, settings.ALARM_CERTIFICATE_DAYS = 10.0**6, 10**5


def slacken(settings) -> None:
    settings.ALARM_DISK_PERCENT, settings.ALARM_DISK_GB, settings.ALARM_CERTIFICATE_DAYS = 0.0, 0.0, 14


def test_behind_until_the_agent_is_back(settings):
    settings.ALARM_BEHIND_SECONDS = 0.5
    agent = RealAgent("mx2.mxpanel.test")
    try:
        agent.start()
        server = agent.enrol()
        sync(server.pk)
        agent.kill()
        MailServer.objects.filter(pk=server.pk).update(revision=2)
        watch = Watch()
        sync(server.pk)
        watch.look()
        time.sleep(0.6)
        watch.look()
        (incident,) = Incident.objects.filter(closed_at=None, kind="behind")
        assert "The last call failed" in incident.text
        agent.start()
        meeting.try_again(server.pk)
        watch.look()
        assert "behind" not in wrong()
    finally:
        agent.stop()
