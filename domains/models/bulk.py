"""One change of many mailboxes: proposed with a summary, then made in batches, and for a day to be had back."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import EmptyResultSet, ValidationError
from django.db import IntegrityError, connection, models
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models import User
from billing.entitlements import Feature, limit
from domains.plan_room import Room, check_quota
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from domains.models.domain import Domain
    from domains.models.mailbox_queries import MailboxQuerySet

UNDO_FOR = timedelta(hours=24)  # how long after its end it can be undone
PROPOSED_KEPT = timedelta(days=1)
DONE_KEPT = timedelta(days=30)
UNDER_WAY = models.Q(started_at__isnull=False, finished_at=None) | models.Q(
    undo_at__isnull=False, undone_at=None
)


class BulkVerb(models.TextChoices):
    SUSPEND = "suspend", "Suspend"
    UNSUSPEND = "unsuspend", "Lift the suspension"
    QUOTA = "quota", "Change the quota"
    DELETE = "delete", "Delete"


class BulkChange(models.Model):
    """What shall be done to the mailboxes of its items. The items are chosen when it is proposed, so that what the
    summary counted is what is done.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    domain = models.ForeignKey("domains.Domain", models.CASCADE, related_name="bulk_changes")
    verb = models.CharField(max_length=9, choices=BulkVerb.choices)
    quota_mb = models.PositiveIntegerField(null=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    made_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    undo_at = models.DateTimeField(null=True, help_text="Since when it is being undone.")
    undo_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    undone_at = models.DateTimeField(null=True)
    worked_at = models.DateTimeField(null=True, help_text="The end of the last batch.")
    total = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0, help_text="They were so already.")
    refused = models.PositiveIntegerField(default=0)
    undone = models.PositiveIntegerField(default=0, help_text="Changed back.")
    left = models.PositiveIntegerField(default=0, help_text="Not changed back: changed by others since.")

    room: Room | None = None  # of the customer's plan, while a batch of deleted mailboxes comes back

    class Meta:
        ordering = ["-made_at"]
        constraints = [
            models.UniqueConstraint(fields=["domain"], condition=UNDER_WAY, name="bulk_one_under_way")
        ]
        indexes = [models.Index(fields=["worked_at"], condition=UNDER_WAY, name="bulk_under_way")]

    def __str__(self) -> str:
        return f"{self.get_verb_display()}: {self.total} mailboxes of {self.domain}"

    def get_absolute_url(self) -> str:
        return self.url_of("bulk-page")

    def url_of(self, page: str) -> str:
        return reverse(f"domains:{page}", args=[self.domain.customer.username, self.domain.name, self.pk])

    @property
    def status(self) -> str:
        if self.undo_at:
            return "undone" if self.undone_at else "undoing"
        if self.finished_at:
            return "done"
        return "working" if self.started_at else "proposed"

    @property
    def is_working(self) -> bool:
        return self.status in ("working", "undoing")

    @property
    def undo_until(self) -> datetime | None:
        return self.finished_at + UNDO_FOR if self.finished_at else None

    @property
    def can_be_undone(self) -> bool:
        over = self.undo_until is not None and self.undo_until < timezone.now()
        return bool(self.started_at) and not self.undo_at and not over

    @property
    def progress(self) -> tuple[int, int]:
        """How many mailboxes are through, of how many."""
        if self.undo_at:
            return self.undone + self.left, self.changed
        return self.changed + self.unchanged + self.refused, self.total

    def start(self, *, by: User | None) -> bool:
        """Begin; false when it has begun before or has given way. The work itself is a task's (`domains.bulk_work`).

        ValidationError while another change of this domain is under way.
        """
        now = timezone.now()
        with _one_at_a_time(), unit_of_work():
            _lock(self.domain)
            if not BulkChange.objects.filter(pk=self.pk, started_at=None).update(started_at=now, by=by):
                return False
            self.started_at = now
            facts = {"verb": self.verb, "mailboxes": self.total, "quota_mb": self.quota_mb}
            self._record("bulk.start", by, facts)
        return True

    def undo(self, *, by: User | None) -> bool:
        """Begin to bring back what was; what is not done yet stays undone. False when that has begun before.

        ValidationError when it never began, its day is over, or another change of this domain is under way.
        """
        now = timezone.now()
        with _one_at_a_time(), unit_of_work():
            self.refresh_from_db(from_queryset=BulkChange.objects.select_for_update(of=("self",)))
            if self.undo_at:
                return False
            if not self.can_be_undone:
                raise ValidationError("The time in which this could be undone is over.", code="over")
            self.undo_at, self.undo_by, self.finished_at = now, by, self.finished_at or now
            self.save(update_fields=["undo_at", "undo_by", "finished_at"])
            self._record("bulk.undo", by, {"verb": self.verb, "mailboxes": self.changed})
        return True

    def _record(self, action: str, by: User | None, facts: dict[str, Any]) -> None:
        from domains.tasks import work_on_bulk_change

        customer, subject = self.domain.customer, str(self.domain)
        audit.record(action, by=by, customer=customer, subject=subject, after=facts)
        work_on_bulk_change.delay_on_commit(str(self.pk))


class BulkItem(models.Model):
    """One mailbox of a bulk change, and what became of it."""

    class Outcome(models.TextChoices):
        WAITING = "", "waiting"
        CHANGED = "changed", "changed"
        UNCHANGED = "unchanged", "was so already"
        REFUSED = "refused", "not changed"

    class Undo(models.TextChoices):
        NONE = "", "not undone"
        UNDONE = "undone", "changed back"
        LEFT = "left", "not changed back"

    bulk = models.ForeignKey(BulkChange, models.CASCADE, related_name="items")
    mailbox = models.ForeignKey("domains.Mailbox", models.CASCADE, related_name="+")
    former = models.JSONField(null=True, help_text="What is needed to bring back what was.")
    outcome = models.CharField(max_length=9, blank=True, default="", choices=Outcome.choices)
    undo = models.CharField(max_length=6, blank=True, default="", choices=Undo.choices)
    why = models.CharField(max_length=300, blank=True, default="", help_text="Why it was not changed (back).")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bulk", "mailbox"], name="bulk_item_once")]
        indexes = [
            models.Index(fields=["bulk", "id"], condition=models.Q(outcome=""), name="bulk_item_waiting"),
            models.Index(
                fields=["bulk", "id"],
                condition=models.Q(outcome="changed", undo=""),
                name="bulk_item_to_undo",
            ),
            models.Index(fields=["bulk", "id"], condition=~models.Q(why=""), name="bulk_item_with_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.mailbox_id} in {self.bulk_id}"


def propose_bulk_change(
    domain: "Domain", verb: str, mailboxes: "MailboxQuerySet", quota_mb: int | None = None, *, by: User | None
) -> BulkChange:
    """Choose these mailboxes of `domain` for a change; nothing is changed before `start`. An earlier choice that was
    not started gives way: each may have 100,000 items.

    ValidationError when there are none, or the quota is above the plan's storage.
    """
    if verb == BulkVerb.QUOTA:
        check_quota(quota_mb or 0, limit(domain.customer, Feature.STORAGE_MB))
    with unit_of_work():
        _lock(domain)
        domain.bulk_changes.filter(started_at=None).delete()
        bulk = domain.bulk_changes.create(verb=verb, quota_mb=quota_mb, by=by)
        bulk.total = _choose(bulk, mailboxes.filter(domain=domain).live())
        if not bulk.total:
            raise ValidationError("No mailbox is chosen. Tick some, or take all that match.", code="none")
        bulk.save(update_fields=["total"])
    return bulk


def _lock(domain: "Domain") -> None:
    """So that none is started while it gives way: deleting reads first, and deletes then whatever was read."""
    type(domain).objects.select_for_update(no_key=True).only("pk").get(pk=domain.pk)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if "bulk_one_under_way" not in str(error):
            raise
        text = (
            "Another change of many mailboxes of this domain is under way. Wait for its end, then try again."
        )
        raise ValidationError(text, code="under_way") from error


def _choose(bulk: BulkChange, mailboxes: "MailboxQuerySet") -> int:
    """By one statement: there may be 100,000 of them."""
    try:
        chosen, values = mailboxes.order_by("local_part").values_list("pk").query.sql_with_params()
    except EmptyResultSet:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_CHOOSE.format(chosen=chosen), [bulk.pk, *values])  # values are bound, not written in
        return int(cursor.rowcount)


_CHOOSE = """
INSERT INTO domains_bulkitem (bulk_id, mailbox_id, outcome, undo, why)
SELECT %s, chosen.mailbox_id, '', '', '' FROM ({chosen}) AS chosen (mailbox_id)
"""


def forget_old_bulk_changes() -> None:
    """Those never started after a day, others after a month; the audit trail keeps what they did."""
    now = timezone.now()
    old = models.Q(started_at=None, made_at__lt=now - PROPOSED_KEPT)
    old |= models.Q(finished_at__lt=now - DONE_KEPT)
    with unit_of_work():
        rows = list(
            BulkChange.objects.select_for_update().filter(old).order_by("pk").values_list("pk", flat=True)
        )
        BulkChange.objects.filter(pk__in=rows).delete()
