"""Tasks of this app: ids in, re-read, one verb. Each may be lost or run twice without harm."""

import logging

from celery import shared_task

from domains import bulk_work, dns_watch, placement, purging, role_addresses
from domains.driver import digests, hints, history, meeting, takeover
from domains.driver.agent import AgentError
from domains.driver.points import forget_old_marks
from domains.driver.rebuilding import rebuild
from domains.driver.sync import sync
from domains.driver.tombstones import forget_tombstones
from domains.mailbox_csv import applying
from domains.models import Domain, MailboxImport, MailServer, note_end
from domains.models.bulk import forget_old_bulk_changes
from domains.models.dns import forget_old_alerts
from domains.models.incident import forget_old_incidents
from domains.models.mailbox_import import forget_old_imports
from domains.models.mailbox_invitation import forget_old_invitations
from domains.models.quota_warning import forget_old_warnings

logger = logging.getLogger(__name__)


@shared_task
def sync_server(server_id: int) -> None:
    sync(server_id, fast=True)


@shared_task
def sync_slow_server(server_id: int) -> None:
    if MailServer.objects.due().filter(pk=server_id).exists():
        meeting.try_again(server_id)


@shared_task
def rebuild_server(server_id: int) -> None:
    rebuild(server_id)


@shared_task
def sweep_servers() -> None:
    servers = MailServer.objects.all()
    for task, wanting in (
        (hints.SYNC, servers.behind().well()),
        (hints.REBUILD, servers.rebuild_owed().due()),
        (hints.SYNC_SLOW, servers.failing().due().exclude(pk__in=servers.rebuild_owed())),
    ):
        for server_id in wanting.values_list("pk", flat=True):
            hints.hint(server_id, task)


@shared_task
def pull_usage() -> None:
    for server_id in MailServer.objects.well().values_list("pk", flat=True):
        pull_server.apply_async([server_id], expires=10)


@shared_task
def pull_server(server_id: int) -> None:
    meeting.pull(server_id)


@shared_task
def sweep_digests() -> None:
    digests.want_nightly()
    for server_id in digests.owed().values_list("server", flat=True):
        digest_server.apply_async([server_id], expires=15)


@shared_task
def digest_server(server_id: int) -> None:
    try:
        digests.digest(server_id)
    except AgentError as error:
        logger.warning("The digest of mail server %s waits: %s", server_id, error)


@shared_task
def sweep_histories() -> None:
    """Comparisons that are owed after lost history, and takeovers that staff decided."""
    for task, wanting in (
        (hints.COMPARE, history.uncompared()),
        (hints.TAKE_OVER, takeover.under_way()),
    ):
        for server_id in wanting.values_list("server", flat=True):
            hints.hint(server_id, task)


@shared_task
def compare_server(server_id: int) -> None:
    history.compare(server_id)


@shared_task
def take_over_server(server_id: int) -> None:
    takeover.take_over(server_id)


@shared_task
def sweep_placements() -> None:
    for customer in placement.unplaced():
        try:
            placement.place(customer, by=None)
        except Exception:  # one customer's failure is not the others'
            logger.exception("Customer %s could not be placed.", customer.pk)


@shared_task
def sweep_purges() -> None:
    purging.purge()
    forget_old_marks()
    history.forget()


@shared_task
def sweep_tombstones() -> None:
    forget_tombstones()
    forget_old_incidents()
    forget_old_alerts()
    forget_old_bulk_changes()
    forget_old_imports()
    forget_old_invitations()
    forget_old_warnings()


@shared_task
def canary(queue: str) -> None:
    """Sent by beat to each queue: that it ends here proves beat, the broker and a worker of that queue."""
    note_end(f"queue {queue}")


@shared_task
def check_domain(domain_id: str) -> None:
    for domain in Domain.objects.live().filter(pk=domain_id):
        domain.check_dns()


@shared_task
def sweep_dns() -> None:
    for domain_id in dns_watch.due():
        check_domain.apply_async([str(domain_id)], expires=dns_watch.CLAIM.total_seconds())


@shared_task
def work_on_bulk_change(bulk_id: str) -> None:
    if bulk_work.work(bulk_id):
        work_on_bulk_change.delay(bulk_id)


@shared_task
def sweep_bulk_changes() -> None:
    for bulk_id in bulk_work.owed():
        work_on_bulk_change.apply_async([str(bulk_id)], expires=bulk_work.SILENCE.total_seconds())


@shared_task
def import_mailboxes(import_id: int) -> None:
    if applying.work(import_id):
        import_mailboxes.delay_on_commit(import_id)


@shared_task
def sweep_imports() -> None:
    for import_id in MailboxImport.objects.wanting_work().values_list("pk", flat=True)[:100]:
        import_mailboxes.apply_async([import_id], expires=5)


@shared_task
def sweep_role_addresses() -> None:
    role_addresses.sweep()
