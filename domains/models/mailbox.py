"""Mailboxes and what may be done with them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models import Customer, Stop, User
from billing.entitlements import Feature, limit
from domains.driver.stamping import stamp
from domains.mailbox_password import accept_hash, hash_password
from domains.models.deletable import Deletable
from domains.models.domain import Domain
from domains.models.mailbox_queries import FULL_MB, INDEXES, MailboxQuerySet
from domains.models.mailbox_suspension import MailboxSuspension
from domains.models.sending import MailboxSending
from domains.models.server import Kind, ServerRow, ServerSync
from domains.plan_room import QUOTA_MOST_MB, Room, check_quota
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from domains.models.mailbox_invitation import MailboxInvitation


class Mailbox(MailboxSending, Deletable):
    """A mailbox. Its id names its home on the mail server for good: the same address made again starts empty."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    domain = models.ForeignKey(Domain, models.PROTECT, related_name="mailboxes")
    local_part = models.CharField(max_length=64)
    name = models.CharField(max_length=120, blank=True)
    quota_mb = models.PositiveIntegerField(
        "quota in MB", default=1024, help_text="0: as much as the plan holds."
    )
    password_hash = models.CharField(max_length=400, editable=False)
    used_bytes = models.PositiveBigIntegerField(default=0, editable=False)
    last_sign_in_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    password_awaited_since = models.DateTimeField(
        null=True, editable=False, help_text="Since when its owner is to set the first password."
    )
    purge_refused_at = models.DateTimeField(
        null=True, editable=False, help_text="When its server last refused to purge it."
    )

    objects = MailboxQuerySet.as_manager()

    class Meta:
        ordering = ["local_part"]
        verbose_name_plural = "mailboxes"
        constraints = [
            models.UniqueConstraint(
                fields=["domain", "local_part"], condition=Q(deleted_at=None), name="mailbox_live_once"
            ),
            models.CheckConstraint(
                condition=Q(local_part__regex=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"),
                name="mailbox_local_part_form",
            ),
            models.CheckConstraint(condition=Q(quota_mb__lte=QUOTA_MOST_MB), name="mailbox_quota_bounded"),
            models.CheckConstraint(
                condition=Q(("password_hash__startswith", "{")), name="mailbox_hash_has_scheme"
            ),
            models.CheckConstraint(
                condition=Q(purging_at=None) | Q(deleted_at__isnull=False),
                name="mailbox_purged_only_when_deleted",
            ),
        ]
        indexes = [
            models.Index(fields=["deleted_at"], condition=~Q(deleted_at=None), name="mailbox_deleted"),
            *INDEXES,
        ]

    def __str__(self) -> str:
        return self.address

    def get_absolute_url(self) -> str:
        return self.url_of("mailbox-page")

    def url_of(self, page: str) -> str:
        """The URL of one of its pages."""
        return reverse(f"domains:{page}", args=[self.customer.username, self.domain.name, self.slug])

    @property
    def slug(self) -> str:
        """Its name in URLs: the local part; the whole address where a page beside it has that name."""
        return self.address if self.local_part == "add" else self.local_part

    @property
    def address(self) -> str:
        return f"{self.local_part}@{self.domain.name}"

    @property
    def customer(self) -> Customer:
        return self.domain.customer

    @property
    def full_from(self) -> int:
        """How many bytes are nearly all that its quota allows."""
        return self.quota_mb * FULL_MB

    @property
    def status(self) -> str:
        if self.deleted_at:
            return "deleted"
        if self.suspension:
            return "suspended"
        return "invited" if self.password_awaited_since else "active"

    @property
    def invitation(self) -> "MailboxInvitation | None":
        """The newest that was neither used nor withdrawn; its days may be over."""
        return self.invitations.pending().first()

    @property
    def suspension(self) -> MailboxSuspension | None:
        """The suspension in force, if there is one."""
        return self.suspensions.in_force().first()

    @property
    def is_live(self) -> bool:
        """Whether its server has made true what was last wished of it, of its suspension and of its domain."""
        server = self.domain.server
        if server is None:
            return False
        last_suspension = self.suspensions.order_by("-at").values_list("pk", flat=True)[:1]
        kinds, keys = [Kind.MAILBOX, Kind.STATE, Kind.DOMAIN], [self.pk, *last_suspension, self.domain_id]
        rows = ServerRow.objects.filter(server=server, kind__in=kinds, key__in=keys)
        wished = rows.aggregate(newest=models.Max("revision"))["newest"]
        return wished is not None and ServerSync.objects.filter(server=server, effective__gte=wished).exists()

    def change(self, quota_mb: int | None, name: str | None, *, by: User | None) -> bool:
        """Change quota and name, None: leave it as it is; false when both are so already. ValidationError above the plan's
        storage.
        """
        if quota_mb is not None and quota_mb != self.quota_mb:
            check_quota(quota_mb, limit(self.customer, Feature.STORAGE_MB))
        with unit_of_work():
            self._lock()
            before = self._settings()
            self.quota_mb = self.quota_mb if quota_mb is None else quota_mb
            self.name = self.name if name is None else name
            after = self._settings()
            if before == after:
                return False
            self.save(update_fields=["quota_mb", "name"])
            self.record("mailbox.change", by, before=before, after=after)
        return True

    def set_password(self, password: str = "", *, by: User | None, password_hash: str = "") -> bool:
        """Replace the password; open sessions end, and so does an open invitation. False when the mailbox has been
        deleted.

        ValidationError for a password that will not do.
        """
        from domains.models.mailbox_invitation import end_waiting

        ready = ready_hash(password, password_hash)
        with unit_of_work():
            if not Mailbox.objects.live().filter(pk=self.pk).update(password_hash=ready):
                return False
            end_waiting([self])
            self.password_hash, self.password_awaited_since = ready, None
            self.record("mailbox.password", by)
        return True

    def suspend(
        self,
        *,
        by: User | None,
        stops: Iterable[str] = (),
        reason: str = "",
        until: datetime | None = None,
        by_staff: bool = False,
    ) -> MailboxSuspension:
        """Stop signing in, sending, receiving, or those named in `stops`. The same again changes nothing;
        other stops replace the suspension in force. ValidationError when that one is staff's and this is not.
        """
        stops = sorted(set(stops) or set(Stop.values))
        with unit_of_work():
            Mailbox.objects.select_for_update().only("pk").get(pk=self.pk)
            present, same = self.suspension, (stops, reason, until, by_staff)
            if present and (present.stops, present.reason, present.until, present.by_staff) == same:
                return present
            self._refuse_unless_ours(by_staff)
            self._lift(by)
            made = self.suspensions.create(stops=stops, reason=reason, until=until, by=by, by_staff=by_staff)
            stamp(self.customer, Kind.STATE, made.pk)
            after = {"stops": stops, "reason": reason, "until": until.isoformat() if until else None}
            audit.record("mailbox.suspend", by=by, customer=self.customer, subject=self.address, after=after)
        return made

    def unsuspend(self, *, by: User | None, by_staff: bool = False) -> bool:
        """Lift what `suspend` stopped; false when nothing is. ValidationError when staff stopped it and this is not."""
        with unit_of_work():
            Mailbox.objects.select_for_update().only("pk").get(pk=self.pk)
            self._refuse_unless_ours(by_staff)
            lifted = self._lift(by)
            if lifted:
                customer, before = self.customer, {"stops": lifted.stops}
                audit.record(
                    "mailbox.unsuspend", by=by, customer=customer, subject=self.address, before=before
                )
        return lifted is not None

    def delete(self, *, by: User | None) -> bool:  # type: ignore[override]  # a verb: rows go when they are purged
        """Take it off the mail server; its mail waits DELETED_KEPT for `restore`. False when it is deleted already.

        ValidationError while staff stop it: the address made anew would be free of that.
        """
        with unit_of_work():
            self._lock()  # a suspension by staff comes before or after
            if self.deleted_at:
                return False
            self._refuse_unless_ours(by_staff=False)
            self.deleted_at = timezone.now()
            self.save(update_fields=["deleted_at"])
            self.record("mailbox.delete", by)
        return True

    def restore(self, *, by: User | None, room: Room | None = None) -> bool:
        """Undo the deletion, with mail, password and suspension as they were; false when it is not deleted. `room` is
        that of the customer's plan, where many come back in one transaction.

        Raises ValidationError when its days are over, the plan is used up, or the address exists again.
        """
        with exists_if_doubled("__all__"), unit_of_work():
            room = room or Room(self.customer)  # locks the customer, then
            self._lock()
            if not self.deleted_at:
                return False
            self.refuse_past_its_days()
            Mailbox.objects.filter(pk=self.pk).update(deleted_at=None)
            room.take()  # by those alone that do come back
            self.deleted_at = None
            self.record("mailbox.restore", by)
        return True

    def _lock(self) -> None:
        """Read what may be changed once more, locked; what was read of its domain and customer stays."""
        fields = ["quota_mb", "name", "deleted_at", "purging_at"]
        self.refresh_from_db(fields=fields, from_queryset=Mailbox.objects.select_for_update())

    def _refuse_unless_ours(self, by_staff: bool) -> None:
        present = self.suspension
        if present and present.by_staff and not by_staff:
            text = f"Our staff stopped this mailbox: {present.reason.rstrip('.')}. Write to us to have it lifted."
            raise ValidationError(text, code="staff")

    def _settings(self) -> dict[str, Any]:
        return {"quota_mb": self.quota_mb, "name": self.name}

    def _lift(self, by: User | None) -> MailboxSuspension | None:
        """Lift every suspension that is not lifted, also one whose time is over; returns the one that was in force."""
        open_ones = list(self.suspensions.filter(lifted_at=None))
        for suspension in open_ones:
            stamp(self.customer, Kind.STATE, suspension.pk, gone=True)
        self.suspensions.filter(lifted_at=None).update(lifted_at=timezone.now(), lifted_by=by)
        return next((suspension for suspension in open_ones if suspension.in_force), None)

    def record(self, action: str, by: User | None, **values: Any) -> None:
        """The end of every change of this mailbox: its row stamped, its audit entry written."""
        stamp(self.customer, Kind.MAILBOX, self.pk, gone=self.deleted_at is not None)
        audit.record(action, by=by, customer=self.customer, subject=self.address, **values)


@contextmanager
def exists_if_doubled(field: str) -> Iterator[None]:
    """Turn the second of two mailboxes with one address away, by the constraint, with an error on `field`."""
    try:
        yield
    except IntegrityError as error:
        if "mailbox_live_once" not in str(error):
            raise
        text = "A mailbox with this address exists. Choose another name, or change that mailbox."
        raise ValidationError({field: ValidationError(text, code="exists")}) from error


def ready_hash(password: str, password_hash: str) -> str:
    """The hash to store, with errors on `password`; never inside a transaction, because hashing takes its time."""
    try:
        return accept_hash(password_hash) if password_hash else hash_password(password)
    except ValidationError as error:
        raise ValidationError({"password": error.messages}) from error
