"""Rows that are gone are forgotten after 90 days, and the floor says up to where."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from domains.driver import tombstones
from domains.driver.pages import NeedsRebuild, next_page
from domains.driver.points import MARKS_KEPT
from domains.driver.sync import sync
from domains.driver.tombstones import TOMBSTONES_KEPT, forget_tombstones
from domains.models import MailServer, ServerRow, ServerSync
from domains.tasks import sweep_tombstones
from mailnode import wire
from tests.domains.conftest import HASH, make_server

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def long_gone(domain, mx1):
    """Five mailboxes that were deleted more than 90 days ago, and one 89 days ago."""
    made = [domain.add_mailbox(f"m{number}", password_hash=HASH, by=None) for number in range(6)]
    for mailbox in made:
        mailbox.delete(by=None)
    age(made[:5], days=91)
    age(made[5:], days=89)
    return made


def age(mailboxes, days: int) -> None:
    rows = ServerRow.objects.filter(key__in=[mailbox.pk for mailbox in mailboxes])
    rows.update(changed_at=timezone.now() - timedelta(days=days))


def at(revision: int) -> wire.Point:
    return wire.Point(revision=revision, mark="m")


def test_what_is_gone_for_long_is_forgotten_and_raises_the_floor(long_gone, mx1, monkeypatch):
    monkeypatch.setattr(tombstones, "CHUNK", 2)
    last = ServerRow.objects.get(key=long_gone[4].pk).revision
    assert forget_tombstones() == 5
    assert ServerRow.objects.filter(kind="mailbox").get().key == long_gone[5].pk
    mx1.refresh_from_db()
    assert mx1.floor == last
    sweep_tombstones()
    mx1.refresh_from_db()
    assert mx1.floor == last


def test_what_is_there_is_never_forgotten(anna, mx1):
    age([anna], days=1000)
    assert forget_tombstones() == 0
    assert ServerRow.objects.filter(key=anna.pk).exists()


def test_each_server_has_its_own_floor(long_gone, mx1):
    other = make_server("mx2.mxpanel.test")
    ServerRow.objects.filter(key=long_gone[0].pk).update(server=other, revision=77)
    forget_tombstones()
    assert MailServer.objects.get(pk=other.pk).floor == 77
    assert MailServer.objects.get(pk=mx1.pk).floor == ServerRow.objects.get().revision - 1


def test_from_below_the_floor_no_page_leads_on(long_gone, domain, mx1):
    forget_tombstones()
    floor = MailServer.objects.get().floor
    assert next_page(mx1.pk, at(floor)).revision > floor
    with pytest.raises(NeedsRebuild, match=f"{floor} is forgotten"):
        next_page(mx1.pk, at(floor - 1))
    assert next_page(mx1.pk, at(0))  # an empty server lacks nothing of what is gone


def test_a_server_that_was_away_for_longer_is_owed_a_rebuild(long_gone, mx1):
    ServerSync.objects.update(confirmed_revision=2, confirmed_mark="m")
    forget_tombstones()
    sync(mx1.pk)
    assert list(MailServer.objects.rebuild_owed()) == [mx1]


def test_a_row_that_comes_back_meanwhile_stays(long_gone, domain, mx1, monkeypatch):
    """It is restored between the look and the deletion: the counter's lock orders the two."""
    real = tombstones._oldest
    looks = []

    def look(before):
        chunk = real(before)
        looks.append(chunk)
        if len(looks) == 1:
            thread = threading.Thread(target=restore)
            thread.start()
            thread.join()
        return chunk

    def restore() -> None:
        type(long_gone[0]).objects.get(pk=long_gone[0].pk).restore(by=None)
        connection.close()

    monkeypatch.setattr(tombstones, "_oldest", look)
    assert forget_tombstones() == 4
    row = ServerRow.objects.get(key=long_gone[0].pk)
    assert not row.gone
    assert row.revision > MailServer.objects.get().floor


def test_pairs_are_remembered_longer_than_what_is_gone():
    assert MARKS_KEPT > TOMBSTONES_KEPT
