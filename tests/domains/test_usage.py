"""What a server reports: taken for its own customers only, and only within bounds."""

import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from billing import entitlements
from domains.driver import watching
from domains.driver.agent import Agent
from domains.models import Placement
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
    assert entitlements.usage(acme) == 1500
    watching.take_usage(mx1, [entry(anna, 400, 1_600_000_000)])  # no sign-in is taken back
    anna.refresh_from_db()
    assert (anna.used_bytes, anna.last_sign_in_at.year) == (400, 2023)
    assert entitlements.usage(acme) == 900


def test_a_server_speaks_for_its_own_customers_only(anna, acme):
    other = make_server("mx2.mxpanel.test")
    watching.take_usage(other, [entry(anna, 10**9, int(time.time()))])
    anna.refresh_from_db()
    assert (anna.used_bytes, anna.last_sign_in_at) == (0, None)
    assert entitlements.usage(acme) == 0


def test_a_wish_is_no_placement(anna, acme, mx1):
    Placement.objects.update(placed_at=None)
    watching.take_usage(mx1, [entry(anna, 10**9)])
    anna.refresh_from_db()
    assert anna.used_bytes == 0


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
        return SimpleNamespace(next=pages[after][0], entries=pages[after][1])

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
    assert entitlements.usage(acme) == 6
