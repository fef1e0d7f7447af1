"""Pulses: canaries and the ends of periodic work, as real Celery signals note them."""

import pytest
from celery import current_app
from django.conf import settings as panel_settings
from django.db import OperationalError

from domains import tasks
from domains.models import Pulse, ServerSync
from mxpanel import celery as panel_celery


@pytest.fixture(autouse=True)
def nothing_noted(monkeypatch):
    monkeypatch.setattr(panel_celery, "_noted", {})
    monkeypatch.setattr(panel_celery, "close_old_connections", lambda: None)  # the test's own is open


def test_a_canary_goes_to_each_queue_and_leaves_its_pulse(db):
    canaries = [entry for entry in panel_settings.CELERY_BEAT_SCHEDULE.values() if "canary" in entry["task"]]
    routed = {route["queue"] for route in panel_settings.CELERY_TASK_ROUTES.values()}
    assert {entry["options"]["queue"] for entry in canaries} == {"panel", *routed}
    for entry in canaries:
        current_app.tasks[entry["task"]].apply(entry["args"])
    assert set(Pulse.objects.exclude(at=None).values_list("name", flat=True)) == {
        f"queue {queue}" for queue in panel_settings.CANARIES
    }


def test_periodic_work_that_ends_well_and_that_fails(db, monkeypatch):
    name = "task domains.tasks.sweep_servers"
    tasks.sweep_servers.apply()
    assert Pulse.objects.get(name=name).at
    with monkeypatch.context() as patch:
        patch.setattr(tasks.MailServer.objects, "all", broken)
        tasks.sweep_servers.apply()
    pulse = Pulse.objects.get(name=name)
    assert (pulse.is_failing, pulse.failure) == (True, "OperationalError")
    tasks.sweep_servers.apply()
    pulse.refresh_from_db()
    assert not pulse.is_failing


def test_ends_that_follow_closely_are_noted_once(db):
    tasks.sweep_servers.apply()
    first = Pulse.objects.get().at
    tasks.sweep_servers.apply()
    assert Pulse.objects.get().at == first


def test_other_tasks_leave_none(db, mx1):
    tasks.sync_server.apply([mx1.pk])
    assert not Pulse.objects.exists()


def test_what_cannot_be_noted_breaks_no_task(db, monkeypatch):
    monkeypatch.setattr(Pulse.objects, "update_or_create", broken)
    assert tasks.sweep_servers.apply().successful()
    assert not ServerSync.objects.exists()


def broken(*_, **__):
    raise OperationalError("secret")
