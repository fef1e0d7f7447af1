"""What a server reports: taken for its own customers only, and only within bounds."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.utils import timezone

from billing import entitlements
from domains.driver import watching
from domains.driver.agent import Agent
from domains.models import Incident, Placement, ServerRow
from mailnode import wire
from tests.domains.conftest import HASH, make_server

pytestmark = pytest.mark.django_db


def entry(mailbox, size: int, last_sign_in: int | None = None) -> wire.Usage:
    return wire.Usage(mailbox=mailbox.pk.hex, bytes=size, messages=1, last_sign_in=last_sign_in)


def test_usage_reaches_mailbox_and_entitlements(anna, domain, mx1, acme):
    ben = domain.add_mailbox("ben", password_hash=HASH, by=None)
    watching.take_usage(mx1, [entry(anna, 1000, 1_700_000_000), entry(ben, 500)])
    anna.refresh_from_db()
    assert (anna.used_bytes, anna.last_sign_in_at) == (1000, datetime.fromtimestamp(1_700_000_000, UTC))
    assert entitlements.usage_report(acme)[0] == 1500
    watching.take_usage(mx1, [entry(anna, 400, 1_600_000_000)])  # no sign-in is taken back
    anna.refresh_from_db()
    assert (anna.used_bytes, anna.last_sign_in_at.year) == (400, 2023)
    assert entitlements.usage_report(acme)[0] == 900


def test_a_server_speaks_for_its_own_customers_only(anna, acme):
    other = make_server("mx2.mxpanel.test")
    watching.take_usage(other, [entry(anna, 10**9, int(time.time()))])
    anna.refresh_from_db()
    assert (anna.used_bytes, anna.last_sign_in_at) == (0, None)
    assert entitlements.usage_report(acme)[0] == 0


def test_what_it_says_of_others_is_recorded_and_bounded(anna, domain, mx1, monkeypatch):
    other = make_server("mx2.mxpanel.test")
    lies = [wire.Usage(mailbox=uuid4().hex, bytes=1, messages=1, last_sign_in=None) for _ in range(999)]
    for _ in range(3):
        watching.take_usage(other, [entry(anna, 10**9), *lies])
    incident = Incident.objects.get()
    assert (incident.kind, incident.subject, incident.server) == ("foreign", other.name, other)
    assert (incident.count, len(incident.rows), incident.closed_at) == (3000, 20, None)
    pages = SimpleNamespace(next="", entries=[], sent=[])
    monkeypatch.setattr(Agent, "usage", lambda self, after: pages)
    watching.pull_usage(other)
    assert not Incident.objects.get().closed_at
    Incident.objects.update(seen_at=timezone.now() - timedelta(hours=2))
    watching.pull_usage(other)
    assert Incident.objects.get().closed_at


def test_what_it_was_told_once_is_no_lie(anna, mx1):
    ServerRow.objects.filter(key=anna.pk).update(gone=True)
    Placement.objects.all().delete()
    watching.take_usage(mx1, [entry(anna, 10**9)])
    assert not Incident.objects.exists()


def test_a_wish_is_no_placement(anna, acme, mx1):
    Placement.objects.update(placed_at=None)
    watching.take_usage(mx1, [entry(anna, 10**9)])
    anna.refresh_from_db()
    assert anna.used_bytes == 0


@pytest.mark.parametrize("off", [3_600, -3_600])
def test_a_clock_that_is_an_hour_off(anna, mx1, off):
    """A sign-in that was just now is not lost, and never lies in the future."""
    watching.take_usage(mx1, [entry(anna, 1, int(time.time()) + off)])
    anna.refresh_from_db()
    assert min(off, 0) - 60 <= anna.last_sign_in_at.timestamp() - time.time() <= 0


def test_times_in_the_future_are_none(anna, mx1):
    watching.take_usage(mx1, [entry(anna, 1, int(time.time()) + 86_400), entry(anna, 1, 2**53)])
    anna.refresh_from_db()
    assert anna.last_sign_in_at is None


def test_pages_are_pulled_to_the_end_and_the_cursor_kept(anna, mx1, monkeypatch):
    asked = []
    pages = {
        "": ("g.1", [entry(anna, 1)]),
        "g.1": ("g.2", []),
        "g.2": ("g.3", [entry(anna, 7)]),
        "g.3": ("g.3", []),
    }

    def usage(self, after):
        asked.append(after)
        return SimpleNamespace(next=pages[after][0], entries=pages[after][1], sent=[])

    monkeypatch.setattr(Agent, "usage", usage)
    watching.pull_usage(mx1)
    mx1.sync.refresh_from_db()
    assert asked == ["", "g.1", "g.2", "g.3"]
    assert mx1.sync.usage_cursor == "g.3"
    anna.refresh_from_db()
    assert anna.used_bytes == 7


def test_a_deleted_mailbox_counts_no_more(anna, domain, mx1, acme):
    ben = domain.add_mailbox("ben", password_hash=HASH, by=None)
    watching.take_usage(mx1, [entry(anna, 1000), entry(ben, 5)])
    anna.delete(by=None)
    watching.take_usage(mx1, [entry(ben, 6)])
    assert entitlements.usage_report(acme)[0] == 6
