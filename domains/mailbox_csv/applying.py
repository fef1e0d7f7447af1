"""The slow half of an import, by workers: passwords are compared and hashed on all cores, then each chunk becomes true
in one transaction, which also takes the chunk away. A worker that dies leaves whole chunks, and nothing is done twice.
"""

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import F, Subquery
from django.utils import timezone
from msgspec.structs import replace

from accounts import audit
from billing.entitlements import Feature, limits
from domains.driver.alone import IMPORT, IMPORT_TURN, alone, one_of
from domains.driver.stamping import stamp
from domains.mailbox_password import hash_password, verifies
from domains.models import Domain, Kind, Mailbox, MailServer
from domains.models.mailbox_import import Change, ImportChunk, MailboxImport, note_compared
from domains.models.mailbox_invitation import end_waiting
from domains.plan_room import check_quota, check_room_for_mailboxes
from foundation.unit_of_work import current_work, unit_of_work

TURN_SECONDS = 5.0  # then others may come first
AT_ONCE = 2  # imports at work at the same time: they share the queue with other work on many mailboxes
HASHERS = max(2, len(os.sched_getaffinity(0)) // AT_ONCE)  # threads of one import
GIVES_WAY = 10  # Unix "nice": pages and changes of mail servers come first, on every core

Item = TypeVar("Item")
Result = TypeVar("Result")


def work(import_id: int, *, seconds: float = TURN_SECONDS) -> bool:
    """Take an import further for some seconds, unless somebody does; whether there is more to do."""
    with one_of(AT_ONCE, IMPORT_TURN) as turn, alone(IMPORT, import_id % 2**31) as mine:
        until = time.monotonic() + seconds
        while turn and mine and _step(import_id):
            if time.monotonic() > until:
                return True
    return False


def _step(import_id: int) -> bool:
    """One chunk further; false when there is nothing to do."""
    known = MailboxImport.objects.wanting_work().select_related("domain__customer", "confirmed_by")
    found = known.filter(pk=import_id).first()
    if found is None:
        return False
    if found.confirmed_at is None:
        chunk = found.chunks.filter(has_comparing=True).first()
        return chunk is not None and _compare(found, chunk)
    chunk = found.chunks.first()
    if chunk is None:
        return False
    try:
        _apply(found, chunk, at_leisure(_hashed, chunk.changes))
    except ValidationError as error:
        found.stop(" ".join(error.messages))
    except IntegrityError as error:  # somebody added one of these just now: the next try passes it over
        if "mailbox_live_once" not in str(error):
            raise
    return True


def _compare(found: MailboxImport, chunk: ImportChunk) -> bool:
    """Leave out of the chunk each password that is the present one already."""
    changes = chunk.changes
    comparable = [change for change in changes if change.is_comparable]
    names = [change.username for change in comparable]
    hashes = dict(
        found.domain.mailboxes.live().filter(local_part__in=names).values_list("local_part", "password_hash")
    )
    same = at_leisure(lambda change: verifies(change.password, hashes.get(change.username, "")), comparable)
    equal = {change.username for change, is_same in zip(comparable, same, strict=True) if is_same}
    kept = [
        replace(change, password="" if change.username in equal else change.password, compared=True)
        for change in changes
    ]
    left = [change for change in kept if not change.is_empty]
    note_compared(chunk, left, len(comparable), len(changes) - len(left))
    return True


def at_leisure(job: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """The results in the order of the items, by threads that leave the cores to whoever else wants them. Threads do:
    argon2 lets go of Python's lock while it works.
    """
    with ThreadPoolExecutor(
        HASHERS, initializer=os.nice, initargs=(GIVES_WAY,)
    ) as pool:  # of this thread, on Linux
        return list(pool.map(job, items))


def _hashed(change: Change) -> Change:
    if not change.password:
        return change
    return replace(change, password="", password_hash=hash_password(change.password))


def _apply(found: MailboxImport, chunk: ImportChunk, changes: list[Change]) -> None:
    """Make a chunk true, once. ValidationError, with nothing done, where customer, domain or plan do not allow it."""
    domain, customer = found.domain, found.domain.customer
    storage_mb, mailboxes = limits(customer, Feature.STORAGE_MB, Feature.MAILBOXES)
    if customer.blocked_reason:
        raise ValidationError(customer.blocked_reason)
    check_quota(max(change.quota_mb or 0 for change in changes), storage_mb)
    with unit_of_work():
        if not _claimed(chunk):
            return
        check_room_for_mailboxes(customer, sum(change.is_new for change in changes), mailboxes)
        if not Domain.objects.live().filter(pk=domain.pk).exists():
            raise ValidationError(f"{domain} was deleted meanwhile. Restore it, then let the import go on.")
        added, altered = _write(domain, changes)
        for mailbox in (*added, *altered):
            stamp(customer, Kind.MAILBOX, mailbox.pk)
        facts: dict[str, Any] = {"added": len(added), "changed": len(altered)}
        facts |= {"first": changes[0].username, "last": changes[-1].username}
        audit.record(
            "mailbox.import", by=found.confirmed_by, customer=customer, subject=domain.name, after=facts
        )
        MailboxImport.objects.filter(pk=found.pk).update(
            done=F("done") + len(changes),
            skipped=F("skipped") + len(changes) - len(added) - len(altered),
            finished_at=None if found.chunks.exists() else timezone.now(),
        )
        current_work().at_end(f"import {found.pk}", lambda: _note_revision(found))


def _claimed(chunk: ImportChunk) -> bool:
    """Take the chunk away, which only one transaction can; false when it is gone."""
    open_ones = MailboxImport.objects.filter(pk=chunk.belongs_to_id, finished_at=None)
    if open_ones.select_for_update().first() is None:
        return False
    return bool(ImportChunk.objects.filter(pk=chunk.pk).delete()[0])


def _write(domain: Domain, changes: list[Change]) -> tuple[list[Mailbox], list[Mailbox]]:
    """The mailboxes that were added, and those that were changed. What came or went since the file was compared is left
    as it is.
    """
    names = [change.username for change in changes]
    live = domain.mailboxes.live().filter(local_part__in=names)
    present = {mailbox.local_part: mailbox for mailbox in live.select_for_update().order_by("pk")}
    added = [
        Mailbox(
            domain=domain, local_part=change.username, name=change.name or "", quota_mb=change.quota_mb or 0,
            password_hash=change.password_hash,
        )
        for change in changes
        if change.is_new and change.username not in present
    ]  # fmt: skip
    altered = [change for change in changes if not change.is_new and change.username in present]
    for change in altered:
        mailbox = present[change.username]
        mailbox.name = mailbox.name if change.name is None else change.name
        mailbox.quota_mb = mailbox.quota_mb if change.quota_mb is None else change.quota_mb
        mailbox.password_hash = change.password_hash or mailbox.password_hash
    Mailbox.objects.bulk_create(added)
    changed = [present[change.username] for change in altered]
    Mailbox.objects.bulk_update(changed, ["name", "quota_mb", "password_hash"])
    end_waiting(present[change.username] for change in altered if change.password_hash)
    return added, changed


def _note_revision(found: MailboxImport) -> None:
    """After the rows are stamped: the revision with which everything up to here is live."""
    server = found.domain.server
    if server is not None:
        counter = MailServer.objects.filter(pk=server.pk).values("revision")
        MailboxImport.objects.filter(pk=found.pk).update(revision=Subquery(counter))
