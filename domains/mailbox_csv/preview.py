"""What an import is about to change, in words."""

from typing import NamedTuple

from domains.models import Mailbox, MailboxImport
from domains.models.mailbox_import import Change

SHOWN = 50


class Shown(NamedTuple):
    line: int
    address: str
    is_new: bool
    what: list[str]  # each a change, without any password


def preview(found: MailboxImport) -> list[Shown]:
    """The first lines that are not done yet."""
    chunk = found.chunks.first()
    if chunk is None:
        return []
    changes = chunk.changes[:SHOWN]
    present = found.domain.mailboxes.live().filter(local_part__in=[change.username for change in changes])
    known = {mailbox.local_part: mailbox for mailbox in present}
    return [
        Shown(
            change.line,
            f"{change.username}@{found.domain.name}",
            change.is_new,
            _words(change, known.get(change.username)),
        )
        for change in changes
    ]


def _words(change: Change, present: Mailbox | None) -> list[str]:
    words = []
    if change.quota_mb is not None:
        before = f"{_quota(present.quota_mb)} → " if present and not change.is_new else ""
        words.append(f"quota {before}{_quota(change.quota_mb)}")
    if change.name is not None and (change.name or not change.is_new):
        before = f"“{present.name}” → " if present and not change.is_new else ""
        words.append(f"name {before}“{change.name}”")
    if change.is_comparable:
        words.append("password, if it is another one")
    elif change.password_hash:
        words.append("password (ready hash)")
    elif change.password:
        words.append("password")
    return words


def _quota(quota_mb: int) -> str:
    return f"{quota_mb} MB" if quota_mb else "as much as the plan holds"
