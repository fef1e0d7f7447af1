import threading
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.db.models.signals import pre_delete
from django.utils import timezone

from accounts.models import AuditEntry
from deploy.stack.panel import QUEUES
from domains import bulk_work, tasks
from domains.models import BulkChange, BulkItem, Mailbox, MailboxSuspension, ServerRow
from domains.models.bulk import forget_old_bulk_changes, propose_bulk_change
from tests.domains.conftest import BASE, HASH


@pytest.fixture
def boxes(domain) -> list[Mailbox]:
    """box-0 … box-4 at acme.test."""
    made = [Mailbox(domain=domain, local_part=f"box-{number}", password_hash=HASH) for number in range(5)]
    return Mailbox.objects.bulk_create(made)


def propose(domain, verb: str, **more) -> BulkChange:
    return propose_bulk_change(domain, verb, domain.mailboxes.all(), by=None, **more)


def done(bulk: BulkChange) -> BulkChange:
    bulk.start(by=bulk.by)
    assert bulk_work.work(str(bulk.pk)) is False
    bulk.refresh_from_db()
    return bulk


def test_works(as_, alice, domain, boxes, mx1):
    client = as_(alice)
    bulk = propose(domain, "suspend")
    assert client.post(bulk.url_of("bulk-start")).status_code == 302
    page = client.get(bulk.get_absolute_url()).content.decode()
    assert 'data-status="working"' in page
    assert 'hx-trigger="every 1s"' in page
    assert "Look again" in page
    assert bulk_work.work(str(bulk.pk)) is False
    page = client.get(bulk.get_absolute_url()).content.decode()
    assert 'data-status="done"' in page
    assert 'data-changed="5"' in page
    assert "hx-trigger" not in page
    assert all(box.suspension.by == alice for box in boxes)
    assert ServerRow.objects.filter(server=mx1, kind="state", gone=False).count() == 5
    actions = list(AuditEntry.objects.order_by("at").values_list("action", "by__email"))[1:]
    assert actions == [("bulk.start", alice.email)] + [("mailbox.suspend", alice.email)] * 5


def test_htmx_gets_the_part_that_changes(as_, alice, domain, boxes):
    bulk = done(propose(domain, "suspend"))
    part = as_(alice).get(bulk.get_absolute_url(), headers={"HX-Request": "true"})
    assert part.content.decode().lstrip().startswith('<div id="bulk"')
    assert "HX-Request" in part["Vary"]


def test_each_verb(domain, boxes):
    boxes[0].suspend(by=None)
    assert (bulk := done(propose(domain, "unsuspend"))).changed == 1
    assert bulk.unchanged == 4
    assert not MailboxSuspension.objects.filter(lifted_at=None).exists()
    assert done(propose(domain, "quota", quota_mb=77)).changed == 5
    assert set(domain.mailboxes.values_list("quota_mb", flat=True)) == {77}
    assert done(propose(domain, "quota", quota_mb=77)).unchanged == 5
    assert done(propose(domain, "delete")).changed == 5
    assert not domain.mailboxes.live().exists()


def test_what_refuses_is_left_and_said(as_, alice, domain, boxes):
    boxes[1].suspend(by=None, by_staff=True, reason="spam")
    bulk = propose(domain, "delete")
    boxes[2].delete(by=None)
    bulk = done(bulk)
    assert (bulk.changed, bulk.refused) == (3, 2)
    assert list(domain.mailboxes.live()) == [boxes[1]]
    page = as_(alice).get(bulk.get_absolute_url()).content.decode()
    assert "Our staff stopped this mailbox: spam." in page
    assert "It was deleted meanwhile." in page


def test_one_that_fails_does_not_stop_the_others(domain, boxes, monkeypatch):
    suspend = Mailbox.suspend

    def failing(self, **more):
        if self.local_part == "box-1":
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1/0")
        return suspend(self, **more)

    monkeypatch.setattr(Mailbox, "suspend", failing)
    bulk = done(propose(domain, "suspend"))
    assert (bulk.changed, bulk.refused) == (4, 1)
    assert "error of ours" in bulk.items.get(mailbox=boxes[1]).why


def test_a_deleted_domain_is_left_alone(domain, boxes):
    bulk = propose(domain, "suspend")
    domain.delete(by=None)
    assert done(bulk).refused == 5


def test_twice_begins_once(as_, alice, domain, boxes):
    bulk = propose(domain, "suspend")
    client = as_(alice)
    assert client.post(bulk.url_of("bulk-start")).status_code == 302
    assert client.post(bulk.url_of("bulk-start")).status_code == 302
    assert AuditEntry.objects.filter(action="bulk.start").count() == 1


def test_what_is_not_started_does_nothing(domain, boxes):
    bulk = propose(domain, "suspend")
    assert bulk_work.work(str(bulk.pk)) is False
    assert not bulk_work.owed()
    assert not MailboxSuspension.objects.exists()


def test_one_at_a_time_in_a_domain(as_, alice, served, domain, boxes):
    first = propose(domain, "suspend")
    first.start(by=alice)
    second = propose(domain, "quota", quota_mb=7)
    client = as_(alice)
    refused = client.post(second.url_of("bulk-start"))
    assert refused.status_code == 422
    page = refused.content.decode()
    assert "Another change of many mailboxes of this domain is under way" in page
    assert 'data-status="proposed"' in page
    elsewhere = served.domains.create(name="second.test")
    elsewhere.mailboxes.create(local_part="s", password_hash=HASH)
    assert propose(elsewhere, "suspend").start(by=alice)
    bulk_work.work(str(first.pk))
    assert client.post(second.url_of("bulk-start")).status_code == 302
    assert client.post(first.url_of("bulk-undo")).status_code == 422
    assert not AuditEntry.objects.filter(action="bulk.undo").exists()


def test_a_suspension_of_the_customer_stops_it(as_, alice, acme, domain, boxes, monkeypatch):
    monkeypatch.setattr(bulk_work, "BATCH", 2)
    bulk = propose(domain, "delete")
    bulk.start(by=alice)
    assert bulk_work.run_batch(str(bulk.pk))
    acme.suspend(reason="Unpaid.", by=None)
    assert bulk_work.work(str(bulk.pk)) is False
    bulk.refresh_from_db()
    assert (bulk.status, bulk.changed, bulk.refused) == ("done", 2, 3)
    assert domain.mailboxes.live().count() == 3
    assert "suspended. The reason: Unpaid." in as_(alice).get(bulk.get_absolute_url()).content.decode()


def test_many_mailboxes_have_a_queue_of_their_own(settings):
    routes = settings.CELERY_TASK_ROUTES
    assert {
        routes[f"domains.tasks.{name}"]["queue"] for name in ("work_on_bulk_change", "import_mailboxes")
    } == {"bulk"}
    assert set(QUEUES) == set(settings.CANARIES) == {route["queue"] for route in routes.values()} | {"panel"}


def test_works_by_slices(domain, boxes, monkeypatch):
    """Each asks for the next one and stands behind others in the queue."""
    monkeypatch.setattr(bulk_work, "BATCH", 2)
    monkeypatch.setattr(bulk_work, "TURN", 0.0)
    asked: list[str] = []
    monkeypatch.setattr(tasks.work_on_bulk_change, "delay", asked.append)
    bulk = propose(domain, "suspend")
    bulk.start(by=None)
    for slices in (1, 2, 2):
        tasks.work_on_bulk_change(str(bulk.pk))
        assert asked == [str(bulk.pk)] * slices
    bulk.refresh_from_db()
    assert (bulk.status, bulk.changed) == ("done", 5)


def test_goes_on_after_a_kill_and_doubles_nothing(domain, boxes, monkeypatch):
    """The second batch dies before it commits; another worker finds and ends the work."""
    monkeypatch.setattr(bulk_work, "BATCH", 2)
    bulk = propose(domain, "suspend")
    bulk.start(by=None)
    assert bulk_work.run_batch(str(bulk.pk)) is True
    note = bulk_work._note
    monkeypatch.setattr(bulk_work, "_note", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        bulk_work.run_batch(str(bulk.pk))
    monkeypatch.setattr(bulk_work, "_note", note)
    assert BulkItem.objects.filter(outcome="changed").count() == 2
    assert MailboxSuspension.objects.count() == 2
    assert not bulk_work.owed()
    BulkChange.objects.update(worked_at=timezone.now() - timedelta(seconds=11))
    assert bulk_work.owed() == [bulk.pk]
    tasks.work_on_bulk_change(str(bulk.pk))
    bulk.refresh_from_db()
    assert (bulk.status, bulk.changed) == ("done", 5)
    assert MailboxSuspension.objects.count() == 5
    assert AuditEntry.objects.filter(action="mailbox.suspend").count() == 5
    assert bulk_work.work(str(bulk.pk)) is False


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_workers_at_once_double_nothing(domain, monkeypatch):
    made = [Mailbox(domain=domain, local_part=f"b{number}", password_hash=HASH) for number in range(40)]
    Mailbox.objects.bulk_create(made)
    monkeypatch.setattr(bulk_work, "BATCH", 3)
    bulk = propose(domain, "quota", quota_mb=5)
    bulk.start(by=None)

    def worker() -> None:
        for _ in range(5000):
            bulk_work.run_batch(str(bulk.pk))
            if BulkChange.objects.filter(finished_at__isnull=False).exists():
                break
        connections.close_all()

    workers = [threading.Thread(target=worker) for _ in range(3)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    bulk.refresh_from_db()
    assert (bulk.status, bulk.changed, bulk.unchanged, bulk.refused) == ("done", 40, 0, 0)
    assert AuditEntry.objects.filter(action="mailbox.change").count() == 40


def test_stranger_gets_404(as_, mallory, other, domain, boxes):
    bulk = propose(domain, "delete")
    client = as_(mallory)
    for page in ("bulk-page", "bulk-start", "bulk-undo"):
        assert client.post(bulk.url_of(page)).status_code == 404
    own = bulk.url_of("bulk-start").replace("/c/acme/", "/c/other/")
    assert client.post(own).status_code == 404
    other.domains.create(name="other.test")
    assert client.post(own.replace("acme.test", "other.test")).status_code == 404
    bulk.refresh_from_db()
    assert bulk.status == "proposed"


def test_reader_gets_403_and_sees(as_, bob, domain, boxes):
    bulk = propose(domain, "delete")
    client = as_(bob)
    assert client.post(bulk.url_of("bulk-start")).status_code == 403
    page = client.get(bulk.get_absolute_url()).content.decode()
    assert "<form" not in page.split("<main")[1].split("</main")[0]
    done(bulk)
    assert bulk.get_absolute_url() in client.get(f"{BASE}acme.test/bulk/").content.decode()


def test_the_list_is_bounded(as_, alice, domain, boxes, django_assert_max_num_queries):
    for _ in range(35):
        propose(domain, "quota", quota_mb=1).start(by=alice)
        BulkChange.objects.update(finished_at=timezone.now())
    client = as_(alice)
    with django_assert_max_num_queries(8):
        page = client.get(f"{BASE}acme.test/bulk/").content.decode()
    assert page.count("Change the quota: 5 mailboxes") == 30


def test_old_ones_are_forgotten(domain, boxes):
    old, young, never = (
        done(propose(domain, "suspend")),
        done(propose(domain, "quota", quota_mb=7)),
        propose(domain, "delete"),
    )
    BulkChange.objects.filter(pk=never.pk).update(made_at=timezone.now() - timedelta(hours=25))
    BulkChange.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=31))
    forget_old_bulk_changes()
    assert list(BulkChange.objects.all()) == [young]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("way", ["proposed anew", "forgotten"])
def test_none_that_has_begun_is_deleted(domain, boxes, way):
    bulk, began = propose(domain, "quota", quota_mb=77), []
    BulkChange.objects.update(made_at=timezone.now() - timedelta(days=2))

    def start():
        began.append(BulkChange.objects.get(pk=bulk.pk).start(by=None))
        connections.close_all()

    starter = threading.Thread(target=start)

    def start_meanwhile(**_):  # between the reading of what is to be deleted and its deletion
        starter.start()
        starter.join(timeout=1)

    pre_delete.connect(start_meanwhile, sender=BulkChange)
    try:
        propose(domain, "delete") if way == "proposed anew" else forget_old_bulk_changes()
    finally:
        pre_delete.disconnect(start_meanwhile, sender=BulkChange)
    starter.join()
    assert began == [BulkChange.objects.filter(pk=bulk.pk).exists()] == [False]
    assert not AuditEntry.objects.filter(action="bulk.start").exists()
