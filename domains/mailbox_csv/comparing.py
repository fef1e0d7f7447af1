"""What a file would change in the mailboxes of a domain: the dry run."""

from collections.abc import Iterator
from typing import BinaryIO

from django.core.exceptions import ValidationError

from accounts.models import User
from billing.entitlements import Feature, limit
from domains.mailbox_csv.reading import Fault, Line, read
from domains.mailbox_password import is_ours
from domains.models import Domain, Mailbox
from domains.models.mailbox_import import Change, MailboxImport, start_import
from domains.plan_room import check_quota

BATCH = 500  # lines of one transaction: at most a page of one revision, and seconds of hashing
DEFAULT_QUOTA_MB = 1024


def compare(domain: Domain, file: BinaryIO, *, by: User | None) -> MailboxImport:
    """Read the file and keep what it changes, to be confirmed. Clear passwords of mailboxes that are there are compared
    later, by a worker. ValidationError where the file as a whole will not do.
    """
    try:
        lines, faults = read(file, domain.name)
    except ValidationError as error:
        raise ValidationError({"file": error.messages}) from error
    storage_mb = limit(domain.customer, Feature.STORAGE_MB)
    changes: list[Change] = []
    unchanged = 0
    for batch in _batches(lines):
        present = domain.mailboxes.live().filter(local_part__in=[line.username for line in batch])
        known = {mailbox.local_part: mailbox for mailbox in present}
        for line in batch:
            try:
                change = _change(line, known.get(line.username), storage_mb)
            except ValidationError as error:
                faults.append(Fault(line.number, " ".join(error.messages)))
                continue
            if change.is_empty:
                unchanged += 1
            else:
                changes.append(change)
    return start_import(
        domain, [changes[at : at + BATCH] for at in range(0, len(changes), BATCH)], by=by,
        unchanged=unchanged, refused=len(faults), faults=sorted(faults),
    )  # fmt: skip


def _batches(lines: list[Line]) -> Iterator[list[Line]]:
    for start in range(0, len(lines), BATCH):
        yield lines[start : start + BATCH]


def _change(line: Line, present: Mailbox | None, storage_mb: int | None) -> Change:
    """ValidationError where the line cannot become true."""
    if present is None:
        return _addition(line, storage_mb)
    quota_mb = None if line.quota_mb == present.quota_mb else line.quota_mb
    if quota_mb is not None:
        check_quota(quota_mb, storage_mb)
    return Change(
        line=line.number,
        username=line.username,
        name=None if line.name == present.name else line.name,
        quota_mb=quota_mb,
        password=line.password,
        password_hash="" if line.password_hash == present.password_hash else line.password_hash,
        compared=bool(line.password) and not is_ours(present.password_hash),
    )


def _addition(line: Line, storage_mb: int | None) -> Change:
    quota_mb = DEFAULT_QUOTA_MB if line.quota_mb is None else line.quota_mb
    check_quota(quota_mb, storage_mb)
    if not line.password and not line.password_hash:
        raise ValidationError("A new mailbox needs a password or a ready hash.")
    return Change(
        line=line.number,
        username=line.username,
        is_new=True,
        name=line.name or "",
        quota_mb=quota_mb,
        password=line.password,
        password_hash=line.password_hash,
    )
