"""What a bulk change will do, counted before it begins."""

from typing import NamedTuple

from django.db.models import Count, Exists, F, OuterRef, Q, Sum

from domains.models import MailboxSuspension
from domains.models.bulk import BulkChange, BulkVerb

MB = 2**20
ADDRESSES = 10
REASONS = 50

STAFF = "Our staff stopped them; only staff can let them go on"
NOT_CHANGED = {
    BulkVerb.SUSPEND: "They are suspended already, wholly or in part, and stay as they are",
    BulkVerb.UNSUSPEND: "They are not suspended",
    BulkVerb.QUOTA: "They have this quota already",
    BulkVerb.DELETE: "",
}


class Summary(NamedTuple):
    changing: int
    staying: list[tuple[str, int]]  # (why, how many)
    used_bytes: int  # held by those that change
    over: int  # hold more than the quota that they get


def summarise(bulk: BulkChange) -> Summary:
    """In one query, also for 100,000."""
    suspensions = MailboxSuspension.objects.in_force().filter(mailbox=OuterRef("mailbox"))
    items = bulk.items.annotate(
        is_suspended=Exists(suspensions), by_staff=Exists(suspensions.filter(by_staff=True))
    )
    gone = Q(mailbox__deleted_at__isnull=False)
    refused = Q(by_staff=True) & ~gone if bulk.verb in (BulkVerb.UNSUSPEND, BulkVerb.DELETE) else Q(pk=None)
    same = {
        BulkVerb.SUSPEND: Q(is_suspended=True),
        BulkVerb.UNSUSPEND: Q(is_suspended=False),
        BulkVerb.QUOTA: Q(mailbox__quota_mb=bulk.quota_mb),
        BulkVerb.DELETE: Q(pk=None),
    }[BulkVerb(bulk.verb)]
    changing = ~gone & ~refused & ~same
    used = F("mailbox__used_bytes")
    over = changing & Q(mailbox__used_bytes__gt=(bulk.quota_mb or 0) * MB) if bulk.quota_mb else Q(pk=None)
    found = items.aggregate(
        gone=Count("pk", filter=gone),
        stopped=Count("pk", filter=refused),
        same=Count("pk", filter=same & ~gone & ~refused),
        changing=Count("pk", filter=changing),
        used=Sum(used, filter=changing),
        over=Count("pk", filter=over),
    )
    reasons = [
        (NOT_CHANGED[BulkVerb(bulk.verb)], found["same"]),
        (STAFF, found["stopped"]),
        ("They were deleted meanwhile", found["gone"]),
    ]
    staying = [(why, count) for why, count in reasons if count]
    return Summary(found["changing"], staying, int(found["used"] or 0), found["over"])


def first_addresses(bulk: BulkChange) -> list[str]:
    """Of the mailboxes that were chosen, so that they can be recognised."""
    names = bulk.items.order_by("pk").values_list("mailbox__local_part", flat=True)[:ADDRESSES]
    return [f"{name}@{bulk.domain.name}" for name in names]


def reasons(bulk: BulkChange) -> list[tuple[str, str]]:
    """The first mailboxes that were not changed, or not changed back: (local part, why)."""
    told = bulk.items.exclude(why="").order_by("pk")
    return list(told.values_list("mailbox__local_part", "why")[:REASONS])
