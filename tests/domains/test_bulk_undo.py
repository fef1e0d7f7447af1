from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry
from domains import bulk_work
from domains.models import BulkChange, Mailbox, ServerRow
from tests.domains.conftest import HASH
from tests.domains.test_bulk_start import boxes, done, propose  # noqa: F401  (boxes is a fixture)
from tests.plans import sell_as


def undone(bulk: BulkChange) -> BulkChange:
    assert bulk.undo(by=None)
    assert bulk_work.work(str(bulk.pk)) is False
    bulk.refresh_from_db()
    return bulk


def test_works(as_, alice, domain, boxes):  # noqa: F811
    Mailbox.objects.filter(pk=boxes[0].pk).update(quota_mb=5)
    bulk = done(propose(domain, "quota", quota_mb=77))
    client = as_(alice)
    assert bulk.url_of("bulk-undo") in client.get(bulk.get_absolute_url()).content.decode()
    assert client.post(bulk.url_of("bulk-undo")).status_code == 302
    assert 'data-status="undoing"' in client.get(bulk.get_absolute_url()).content.decode()
    bulk_work.work(str(bulk.pk))
    page = client.get(bulk.get_absolute_url()).content.decode()
    assert 'data-status="undone"' in page
    assert 'data-undone="5"' in page
    assert bulk.url_of("bulk-undo") not in page
    assert list(domain.mailboxes.order_by("local_part").values_list("quota_mb", flat=True)) == [
        5,
        *[1024] * 4,
    ]
    assert AuditEntry.objects.filter(action="bulk.undo", by=alice).count() == 1
    assert AuditEntry.objects.filter(action="mailbox.change", by=alice).count() == 5


def test_suspensions_are_lifted_but_those_from_before_stay(domain, boxes):  # noqa: F811
    before = boxes[0].suspend(by=None, stops=["send"], reason="away")
    bulk = undone(done(propose(domain, "suspend")))
    assert (bulk.changed, bulk.undone, bulk.left) == (4, 4, 0)
    assert [box.suspension for box in boxes] == [before, None, None, None, None]


def test_lifted_suspensions_come_back_as_they_were(domain, boxes, alice):  # noqa: F811
    until = timezone.now() + timedelta(days=3)
    before = boxes[0].suspend(by=alice, stops=["send"], reason="away", until=until)
    bulk = done(propose(domain, "unsuspend"))
    assert boxes[0].suspension is None
    undone(bulk)
    back = boxes[0].suspension
    assert (back.pk, back.stops, back.reason, back.until, back.by, back.at) == (
        before.pk, ["send"], "away", until, alice, before.at,
    )  # fmt: skip
    assert not ServerRow.objects.get(kind="state", key=before.pk).gone


def test_a_suspension_whose_time_is_over_meanwhile_stays_lifted(domain, boxes):  # noqa: F811
    before = boxes[0].suspend(by=None, until=timezone.now() + timedelta(days=3))
    bulk = done(propose(domain, "unsuspend"))
    type(before).objects.update(until=timezone.now())
    assert undone(bulk).left == 1
    assert boxes[0].suspensions.get().lifted_at


def test_deleted_ones_come_back(domain, boxes):  # noqa: F811
    boxes[4].delete(by=None)  # before, and by somebody else
    assert undone(done(propose(domain, "delete"))).undone == 4
    assert set(domain.mailboxes.live()) == set(boxes[:4])


def test_what_others_changed_since_stays(as_, alice, domain, boxes):  # noqa: F811
    quota = done(propose(domain, "quota", quota_mb=77))
    boxes[0].refresh_from_db()
    boxes[0].change(quota_mb=78, name="", by=None)
    boxes[1].delete(by=None)
    bulk = undone(quota)
    assert (bulk.undone, bulk.left) == (3, 2)
    assert Mailbox.objects.get(pk=boxes[0].pk).quota_mb == 78
    page = as_(alice).get(bulk.get_absolute_url()).content.decode()
    assert "It was changed since." in page
    assert "It was deleted meanwhile." in page


def test_what_cannot_come_back_is_said(domain, boxes):  # noqa: F811
    bulk = done(propose(domain, "delete"))
    domain.add_mailbox("box-0", password_hash=HASH, by=None)
    sell_as(domain.customer, mailboxes=3)
    bulk = undone(bulk)
    assert (bulk.undone, bulk.left) == (2, 3)
    assert "exists" in bulk.items.get(mailbox=boxes[0]).why
    assert domain.mailboxes.live().count() == 3


def counts_of(queries) -> int:
    return sum("COUNT(" in query["sql"] for query in queries)


def test_room_is_counted_once_for_all_that_come_back(domain, boxes):  # noqa: F811
    """Counting 100,000 mailboxes for each of 100,000 would take days."""
    sell_as(domain.customer, mailboxes=5)
    bulk = done(propose(domain, "delete"))
    bulk.undo(by=None)
    with CaptureQueriesContext(connection) as queries:
        bulk_work.work(str(bulk.pk))
    assert domain.mailboxes.live().count() == 5
    assert counts_of(queries.captured_queries) == 1


@pytest.mark.parametrize("verb", ["delete", "suspend"])
@pytest.mark.parametrize("end", ["deleted", "suspended"])
def test_nothing_comes_back_in_what_has_ended(acme, domain, boxes, verb, end):  # noqa: F811
    bulk = done(propose(domain, verb))
    bulk.undo(by=None)
    domain.delete(by=None) if end == "deleted" else acme.suspend(reason="Unpaid.", by=None)
    bulk_work.work(str(bulk.pk))
    bulk.refresh_from_db()
    assert (bulk.status, bulk.undone, bulk.left) == ("undone", 0, 5)
    assert end in bulk.items.first().why


def test_stops_what_is_under_way(domain, boxes, monkeypatch):  # noqa: F811
    monkeypatch.setattr(bulk_work, "BATCH", 2)
    bulk = propose(domain, "suspend")
    bulk.start(by=None)
    bulk_work.run_batch(str(bulk.pk))
    bulk = undone(bulk)
    assert (bulk.changed, bulk.undone, bulk.status) == (2, 2, "undone")
    assert not any(box.suspension for box in boxes)


def test_twice_is_harmless(as_, alice, domain, boxes):  # noqa: F811
    bulk = undone(done(propose(domain, "suspend")))
    assert as_(alice).post(bulk.url_of("bulk-undo")).status_code == 302
    assert AuditEntry.objects.filter(action="bulk.undo").count() == 1


def test_after_its_day_it_stays(as_, alice, domain, boxes):  # noqa: F811
    bulk = done(propose(domain, "suspend"))
    BulkChange.objects.update(finished_at=timezone.now() - timedelta(hours=25))
    client = as_(alice)
    assert bulk.url_of("bulk-undo") not in client.get(bulk.get_absolute_url()).content.decode()
    response = client.post(bulk.url_of("bulk-undo"))
    assert response.status_code == 422
    assert "is over" in response.content.decode()
    assert all(box.suspension for box in boxes)


def test_reader_gets_403_and_get_is_405(as_, alice, bob, domain, boxes):  # noqa: F811
    bulk = done(propose(domain, "suspend"))
    assert as_(bob).post(bulk.url_of("bulk-undo")).status_code == 403
    assert as_(alice).get(bulk.url_of("bulk-undo")).status_code == 405
    bulk.refresh_from_db()
    assert bulk.status == "done"


def test_never_started_cannot_be_undone(as_, alice, domain, boxes):  # noqa: F811
    bulk = propose(domain, "suspend")
    assert as_(alice).post(bulk.url_of("bulk-undo")).status_code == 422
    with pytest.raises(BulkChange.DoesNotExist):
        BulkChange.objects.get(undo_at__isnull=False)
