"""The work of bulk changes: batch by batch, each one transaction with its notes of what became of whom, so that a worker
that is killed leaves nothing half done and nothing is done twice.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from domains.models import Mailbox, MailboxSuspension
from domains.models.bulk import UNDER_WAY, BulkChange, BulkItem, BulkVerb
from domains.plan_room import Room
from foundation.unit_of_work import unit_of_work

BATCH = 100
TURN = 5.0  # seconds after which a worker lets others have their turn
SILENCE = timedelta(seconds=10)  # after which the sweep takes it that no worker is at it

logger = logging.getLogger(__name__)
Outcome, Undo = BulkItem.Outcome, BulkItem.Undo


def owed() -> list[UUID]:
    """Bulk changes that have begun, are not through, and that nobody works on."""
    silent = Q(worked_at=None) | Q(worked_at__lt=timezone.now() - SILENCE)
    return list(BulkChange.objects.filter(UNDER_WAY, silent).values_list("pk", flat=True)[:100])


def work(bulk_id: str) -> bool:
    """Do batches for a while; whether there is more to do."""
    ends = time.monotonic() + TURN
    while more := run_batch(bulk_id):
        if time.monotonic() > ends:
            break
    return more


def run_batch(bulk_id: str) -> bool:
    """The next batch; whether there may be another. False also while another worker is at it."""
    with unit_of_work():
        held = BulkChange.objects.select_for_update(skip_locked=True, of=("self",))
        bulk = held.select_related("domain__customer", "by", "undo_by").filter(pk=bulk_id).first()
        if bulk is None or not bulk.is_working:
            return False
        items, held_up = list(_waiting(bulk)[:BATCH]), _held_up(bulk)
        for item, mailbox in zip(items, _locked(bulk, items), strict=True):
            (_take_back if bulk.undo_at else _do)(bulk, item, mailbox, held_up)
        BulkItem.objects.bulk_update(items, ["outcome", "undo", "former", "why"])
        _note(bulk, items)
    return len(items) == BATCH


def _waiting(bulk: BulkChange) -> Any:
    if bulk.undo_at:
        return bulk.items.filter(outcome=Outcome.CHANGED, undo=Undo.NONE).order_by("id")
    return bulk.items.filter(outcome=Outcome.WAITING).order_by("id")


def _locked(bulk: BulkChange, items: list[BulkItem]) -> list[Mailbox]:
    """The items' mailboxes, locked in one order; before them the customer, where its plan's room is wanted."""
    if bulk.undo_at and bulk.verb == BulkVerb.DELETE:
        bulk.room = Room(bulk.domain.customer)
    chosen = Mailbox.objects.filter(pk__in=[item.mailbox_id for item in items])
    found = {mailbox.pk: mailbox for mailbox in chosen.select_for_update().order_by("pk")}
    for mailbox in found.values():
        mailbox.domain = bulk.domain
    return [found[item.mailbox_id] for item in items]


def _held_up(bulk: BulkChange) -> str:
    """Why nothing of this customer or domain may be changed any more, nor brought back."""
    return bulk.domain.customer.blocked_reason or (
        "The domain was deleted." if bulk.domain.deleted_at else ""
    )


def _do(bulk: BulkChange, item: BulkItem, mailbox: Mailbox, held_up: str) -> None:
    act = _ACTS[bulk.verb]
    item.outcome, item.why = Outcome.REFUSED, held_up[:300] or _gone(mailbox)
    if not item.why:
        former, item.why = _tried(lambda: act.do(mailbox, bulk))
        item.former = former or None
        if not item.why:
            item.outcome = Outcome.CHANGED if former else Outcome.UNCHANGED


def _take_back(bulk: BulkChange, item: BulkItem, mailbox: Mailbox, held_up: str) -> None:
    act = _ACTS[bulk.verb]
    why_not = held_up[:300] or ("" if bulk.verb == BulkVerb.DELETE else _gone(mailbox))
    done, item.why = (
        (False, why_not) if why_not else _tried(lambda: act.undo(mailbox, bulk, item.former or {}))
    )
    item.undo = Undo.UNDONE if done else Undo.LEFT
    if not done and not item.why:
        item.why = "It was changed since."


def _gone(mailbox: Mailbox) -> str:
    return "It was deleted meanwhile." if mailbox.deleted_at else ""


def _tried(act: Callable[[], Any]) -> tuple[Any, str]:
    """What `act` returns, and why it refused: one mailbox that fails is not the others' failure."""
    try:
        with transaction.atomic():
            return act(), ""
    except ValidationError as refusal:
        return None, " ".join(refusal.messages)[:300]
    except (OperationalError, InterfaceError):
        raise  # the whole batch is tried again
    except Exception:
        logger.exception("A mailbox of a bulk change failed.")
        return None, "An error of ours; it is in our log. Try this one by itself."


def _note(bulk: BulkChange, items: list[BulkItem]) -> None:
    """Count what became of them; with the last batch the end."""
    now = timezone.now()
    through = len(items) < BATCH
    noted: dict[str, Any] = {"worked_at": now}
    if bulk.undo_at:
        counts = {"undone": Undo.UNDONE, "left": Undo.LEFT}
        noted |= {name: F(name) + sum(item.undo == undo for item in items) for name, undo in counts.items()}
        noted |= {"undone_at": now} if through else {}
    else:
        kinds = (Outcome.CHANGED, Outcome.UNCHANGED, Outcome.REFUSED)
        noted |= {kind.value: F(kind.value) + sum(i.outcome == kind for i in items) for kind in kinds}
        noted |= {"finished_at": now} if through else {}
    BulkChange.objects.filter(pk=bulk.pk).update(**noted)


Former = dict[str, Any]


class Act(NamedTuple):
    do: Callable[[Mailbox, BulkChange], Former]  # what brings it back; empty where nothing was to be changed
    undo: Callable[
        [Mailbox, BulkChange, Former], bool
    ]  # false where it is not any more as this change left it


def _suspend(mailbox: Mailbox, bulk: BulkChange) -> Former:
    """One that is suspended, in part or by staff, stays as it is."""
    return {} if mailbox.suspension else {"suspension": str(mailbox.suspend(by=bulk.by).pk)}


def _end_suspension(mailbox: Mailbox, bulk: BulkChange, former: Former) -> bool:
    present = mailbox.suspension
    return str(present.pk if present else "") == former["suspension"] and mailbox.unsuspend(by=bulk.undo_by)


def _unsuspend(mailbox: Mailbox, bulk: BulkChange) -> Former:
    present = mailbox.suspension
    return {"suspension": str(present.pk)} if present and mailbox.unsuspend(by=bulk.by) else {}


def _suspend_again(mailbox: Mailbox, bulk: BulkChange, former: Former) -> bool:
    lifted = MailboxSuspension.objects.get(pk=former["suspension"], mailbox=mailbox)
    lifted.mailbox = mailbox
    return lifted.put_back(by=bulk.undo_by)


def _change_quota(mailbox: Mailbox, bulk: BulkChange) -> Former:
    former = mailbox.quota_mb
    return {"quota_mb": former} if _set_quota(mailbox, bulk.quota_mb or 0, bulk.by) else {}


def _former_quota(mailbox: Mailbox, bulk: BulkChange, former: Former) -> bool:
    return mailbox.quota_mb == bulk.quota_mb and _set_quota(mailbox, former["quota_mb"], bulk.undo_by)


def _set_quota(mailbox: Mailbox, quota_mb: int, by: User | None) -> bool:
    return mailbox.change(quota_mb=quota_mb, name=mailbox.name, by=by)


def _delete(mailbox: Mailbox, bulk: BulkChange) -> Former:
    if not mailbox.delete(by=bulk.by) or mailbox.deleted_at is None:
        return {}
    return {"deleted_at": mailbox.deleted_at.isoformat()}


def _restore(mailbox: Mailbox, bulk: BulkChange, former: Former) -> bool:
    same = mailbox.deleted_at is not None and mailbox.deleted_at.isoformat() == former["deleted_at"]
    return same and mailbox.restore(by=bulk.undo_by, room=bulk.room)


_ACTS = {
    BulkVerb.SUSPEND.value: Act(_suspend, _end_suspension),
    BulkVerb.UNSUSPEND.value: Act(_unsuspend, _suspend_again),
    BulkVerb.QUOTA.value: Act(_change_quota, _former_quota),
    BulkVerb.DELETE.value: Act(_delete, _restore),
}
