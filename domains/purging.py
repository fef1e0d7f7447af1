"""Removing for good what was deleted DELETED_KEPT ago: first the mail on the server, then the rows here."""

import logging
from datetime import timedelta
from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from domains.driver.agent import Agent, AgentError
from domains.driver.stamping import stamp
from domains.models import Domain, Kind, Mailbox, ServerRow
from domains.models.deletable import DELETED_KEPT
from foundation.unit_of_work import unit_of_work

logger = logging.getLogger(__name__)

AT_ONCE = 500
ASKED_AGAIN_AFTER = timedelta(
    hours=6
)  # where a server refused: it may have heard later than we that it is gone


def purge() -> None:
    """Take each mailbox that is due a step further; a server that fails is left alone until the next sweep, so that
    it holds up no other.
    """
    failing: set[Any] = set()
    for mailbox in due_mailboxes():
        server = mailbox.domain.server
        if server in failing or (server and server.sync.failed_at):
            continue
        try:
            purge_mailbox(mailbox)
        except AgentError as error:
            if error.retry:
                failing.add(server)
            if error.retry or _refused(mailbox):
                logger.warning("Mailbox %s is not purged: %s", mailbox.pk, error)
        except Exception:  # one mailbox's failure is not the others'
            logger.exception("Mailbox %s could not be purged.", mailbox.pk)
    purge_domains()


def due_mailboxes() -> list[Mailbox]:
    """Mailboxes whose days are over, by themselves or with their domain, and that no server has refused to purge a
    short while ago; those last tried longest ago first.
    """
    over, asked = timezone.now() - DELETED_KEPT, timezone.now() - ASKED_AGAIN_AFTER
    own = Mailbox.objects.filter(deleted_at__lte=over)
    with_domain = Mailbox.objects.filter(domain__deleted_at__lte=over)
    due = Mailbox.objects.filter(pk__in=own.values("pk").union(with_domain.values("pk")))
    due = due.filter(Q(purge_refused_at=None) | Q(purge_refused_at__lte=asked))
    first = due.order_by(F("purging_at").asc(nulls_first=True), "pk")
    return list(first.select_related("domain__customer__placement__server__sync")[:AT_ONCE])


def purge_mailbox(mailbox: Mailbox) -> bool:
    """Take one step towards the mailbox's end; true when it is gone. May be called any number of times.

    From the claim on it cannot be restored. Its mail is removed only when its server has made true that it is
    gone.
    """
    server = mailbox.domain.server
    if not _claim(mailbox):
        return False
    if server is not None:
        row = ServerRow.objects.filter(server=server, kind=Kind.MAILBOX, key=mailbox.pk).first()
        if row and (not row.gone or server.sync.effective < row.revision):
            return False
        if row:  # otherwise it was deleted before there was a server for it
            Agent(server).purge(mailbox.pk)
    _remove(mailbox)
    return True


def purge_domains() -> None:
    """Remove the rows of domains whose days are over and that hold no mailbox any more."""
    over = timezone.now() - DELETED_KEPT
    for domain in Domain.objects.filter(deleted_at__lte=over, mailboxes=None)[:AT_ONCE]:
        with unit_of_work():
            Domain.objects.filter(pk=domain.pk, deleted_at__lte=over, mailboxes=None).delete()


def _claim(mailbox: Mailbox) -> bool:
    """Mark the mailbox, and its domain where that is why, as being purged; false when it was restored
    meanwhile.
    """
    over, now = timezone.now() - DELETED_KEPT, timezone.now()
    with unit_of_work():
        domain = Domain.objects.select_for_update().get(pk=mailbox.domain_id)
        found = Mailbox.objects.select_for_update().filter(pk=mailbox.pk).first()
        if found is None:
            return False
        if domain.deleted_at and domain.deleted_at <= over:
            Domain.objects.filter(pk=domain.pk, purging_at=None).update(purging_at=now)
        elif not found.deleted_at or found.deleted_at > over:
            return False
        if found.deleted_at is None:
            stamp(mailbox.domain.customer, Kind.MAILBOX, mailbox.pk, gone=True)
        Mailbox.objects.filter(pk=mailbox.pk).update(
            deleted_at=found.deleted_at or domain.deleted_at, purging_at=now
        )
    return True


def _refused(mailbox: Mailbox) -> bool:
    """Leave the mailbox alone for ASKED_AGAIN_AFTER; true at the first refusal, which alone is told."""
    Mailbox.objects.filter(pk=mailbox.pk).update(purge_refused_at=timezone.now())
    return mailbox.purge_refused_at is None


def _remove(mailbox: Mailbox) -> None:
    with unit_of_work():
        for key in mailbox.suspensions.filter(lifted_at=None).values_list("pk", flat=True):
            stamp(mailbox.domain.customer, Kind.STATE, key, gone=True)
        Mailbox.objects.filter(pk=mailbox.pk).delete()
