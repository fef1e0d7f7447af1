"""Mailboxes that come from a file: what would change, then the change, batch by batch."""

from datetime import timedelta

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models import Customer, User
from billing.entitlements import Feature, limit
from domains.models.domain import Domain
from domains.models.server import ServerSync
from domains.plan_room import no_room_for_mailboxes
from foundation.encryption import EncryptedTextField
from foundation.unit_of_work import unit_of_work

UNCONFIRMED_KEPT = timedelta(hours=24)  # files may hold passwords: what nobody confirms is forgotten
STOPPED_KEPT = timedelta(days=7)
KEPT = timedelta(days=90)  # the figures alone
MOST_FAULTS = 1_000  # that are kept to be shown


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one line changes: of a mailbox that is there only what differs. `password` is a clear one that is still to be
    hashed, `compared` whether it is known to differ from the present one.
    """

    line: int
    username: str
    is_new: bool = False
    name: str | None = None
    quota_mb: int | None = None
    password: str = ""
    password_hash: str = ""
    compared: bool = False

    @property
    def is_comparable(self) -> bool:
        return bool(self.password) and not self.is_new and not self.compared

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs any more."""
        return not self.is_new and self.name is None and self.quota_mb is None and not self.has_password

    @property
    def has_password(self) -> bool:
        return bool(self.password or self.password_hash)


class MailboxImportQuerySet(models.QuerySet["MailboxImport"]):
    def wanting_work(self) -> "MailboxImportQuerySet":
        """Those of which a worker can take a step: passwords to compare, or confirmed changes to make."""
        comparing = Q(confirmed_at=None, comparing__gt=0)
        return self.filter(comparing | ~Q(confirmed_at=None), finished_at=None, stopped="")


class MailboxImport(models.Model):
    """One file for the mailboxes of a domain. Its numbers stay; its lines stand in chunks, encrypted, until they are
    done.
    """

    domain = models.ForeignKey(Domain, models.CASCADE, related_name="mailbox_imports")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    new = models.PositiveIntegerField()
    changed = models.PositiveIntegerField()
    unchanged = models.PositiveIntegerField()
    refused = models.PositiveIntegerField()
    comparing = models.PositiveIntegerField(
        help_text="Mailboxes whose password may be the present one already."
    )
    faults = models.JSONField(default=list, help_text="[line, why it is refused], the first ones.")
    confirmed_at = models.DateTimeField(null=True, editable=False)
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    done = models.PositiveIntegerField(default=0, help_text="Lines that are made true.")
    skipped = models.PositiveIntegerField(
        default=0, help_text="Lines whose mailbox came or went since the file was compared."
    )
    stopped = models.CharField(max_length=300, blank=True, help_text="What holds it up.")
    revision = models.BigIntegerField(null=True, help_text="Its last one of the domain's mail server.")
    finished_at = models.DateTimeField(null=True, editable=False)

    objects = MailboxImportQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["domain"], condition=Q(finished_at=None), name="mailbox_import_one_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"Import {self.pk} into {self.domain}"

    def get_absolute_url(self) -> str:
        return self.url_of("import-page")

    @property
    def confirm_url(self) -> str:
        return self.url_of("import-confirm")

    @property
    def discard_url(self) -> str:
        return self.url_of("import-discard")

    def url_of(self, page: str) -> str:
        return reverse(f"domains:{page}", args=[self.customer.username, self.domain.name, self.pk])

    @property
    def customer(self) -> Customer:
        return self.domain.customer

    @property
    def status(self) -> str:
        """`comparing`, `ready`, then `importing`, `stopped` or `done`."""
        if self.finished_at:
            return "done"
        if self.confirmed_at is None:
            return "comparing" if self.comparing else "ready"
        return "stopped" if self.stopped else "importing"

    @property
    def total(self) -> int:
        """The lines that change something."""
        return self.new + self.changed

    @property
    def no_room(self) -> str:
        """Why the plan has no room for the new mailboxes, in words; once they come, each batch asks again."""
        if self.confirmed_at:
            return ""
        return no_room_for_mailboxes(self.customer, self.new, limit(self.customer, Feature.MAILBOXES))

    @property
    def is_live(self) -> bool:
        """Whether the mail server has made true everything that came from this file."""
        server = self.domain.server
        if server is None or self.revision is None:
            return False
        return ServerSync.objects.filter(server=server, effective__gte=self.revision).exists()

    def confirm(self, *, by: User | None) -> bool:
        """Let the changes be made, or go on after what held them up is mended; false when they are under way or done.

        ValidationError while passwords are compared, where nothing changes, and where the plan has no room.
        """
        with unit_of_work():
            self.refresh_from_db(from_queryset=MailboxImport.objects.select_for_update())
            if self.status not in ("ready", "stopped"):
                if self.status == "comparing":
                    raise ValidationError(
                        "The passwords are still being compared. Confirm it in a moment.", code="early"
                    )
                return False
            if not self.total:
                raise ValidationError("Nothing in this file changes a mailbox.", code="over")
            if self.no_room:
                raise ValidationError(self.no_room, code="limit")
            self.confirmed_at, self.confirmed_by, self.stopped = timezone.now(), by, ""
            self.save(update_fields=["confirmed_at", "confirmed_by", "stopped"])
            figures = {"new": self.new, "changed": self.changed}
            audit.record(
                "import.confirm", by=by, customer=self.customer, subject=self.domain.name, after=figures
            )
            self.ask_for_work()
        return True

    def discard(self, *, by: User | None) -> bool:
        """Forget the lines that are not done yet; false when there are none. One that was never confirmed goes wholly."""
        with unit_of_work():
            found = MailboxImport.objects.select_for_update().filter(pk=self.pk, finished_at=None).first()
            if found is None:
                return False
            found.chunks.all().delete()
            found.finished_at = timezone.now()
            found.save(update_fields=["finished_at"])
            figures = {"done": found.done, "of": found.total}
            audit.record(
                "import.discard", by=by, customer=self.customer, subject=self.domain.name, after=figures
            )
            if found.confirmed_at is None:
                found.delete()
        return True

    def stop(self, why: str) -> None:
        """Note what holds it up; it goes on when somebody confirms it again."""
        MailboxImport.objects.filter(pk=self.pk, finished_at=None).update(stopped=why[:300])

    def ask_for_work(self) -> None:
        from domains.tasks import import_mailboxes

        import_mailboxes.delay_on_commit(self.pk)


class ImportChunk(models.Model):
    """Some lines that are not done yet, passwords among them: encrypted, and gone in the transaction that does them."""

    belongs_to = models.ForeignKey(MailboxImport, models.CASCADE, related_name="chunks")
    content = EncryptedTextField()
    has_comparing = models.BooleanField(default=False)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"Chunk {self.pk} of {self.belongs_to_id}"

    @property
    def changes(self) -> list[Change]:
        return msgspec.json.decode(self.content, type=list[Change])

    @staticmethod
    def packed(changes: list[Change]) -> str:
        return msgspec.json.encode(changes).decode()


def start_import(
    domain: Domain,
    chunks: list[list[Change]],
    *,
    by: User | None,
    unchanged: int,
    refused: int,
    faults: list[tuple[int, str]],
) -> MailboxImport:
    """Keep what a file changes until somebody confirms it; an earlier one that nobody confirmed gives way.

    ValidationError while another one of this domain is under way.
    """
    changes = [change for chunk in chunks for change in chunk]
    new = sum(change.is_new for change in changes)
    try:
        with unit_of_work():
            earlier = domain.mailbox_imports.filter(finished_at=None, confirmed_at=None)
            for each in earlier.select_for_update():
                each.delete()
            made = domain.mailbox_imports.create(
                by=by, new=new, changed=len(changes) - new, unchanged=unchanged, refused=refused,
                comparing=sum(change.is_comparable for change in changes), faults=faults[:MOST_FAULTS],
            )  # fmt: skip
            for chunk in chunks:
                comparing = any(change.is_comparable for change in chunk)
                made.chunks.create(content=ImportChunk.packed(chunk), has_comparing=comparing)
            figures = {"new": made.new, "changed": made.changed, "unchanged": unchanged, "refused": refused}
            audit.record("import.add", by=by, customer=domain.customer, subject=domain.name, after=figures)
            made.ask_for_work()
    except IntegrityError as error:
        if "mailbox_import_one_at_a_time" not in str(error):
            raise
        text = (
            "Another file is being imported into this domain. Wait for its end, then upload this one again."
        )
        raise ValidationError({"file": ValidationError(text, code="exists")}) from error
    return made


def note_compared(chunk: ImportChunk, kept: list[Change], compared: int, same: int) -> None:
    """Keep of a chunk what still differs, once: `same` of its lines change nothing after all."""
    with unit_of_work():
        MailboxImport.objects.select_for_update().filter(pk=chunk.belongs_to_id).first()
        present = ImportChunk.objects.filter(pk=chunk.pk, has_comparing=True)
        found = present.select_for_update().first()
        if found is None:
            return
        found.content, found.has_comparing = ImportChunk.packed(kept), False
        found.save(update_fields=["content", "has_comparing"]) if kept else found.delete()
        MailboxImport.objects.filter(pk=chunk.belongs_to_id).update(
            comparing=F("comparing") - compared, changed=F("changed") - same, unchanged=F("unchanged") + same
        )


def forget_old_imports() -> None:
    """Lines that nobody confirmed or let go on, and figures past their days."""
    now = timezone.now()
    open_ones = MailboxImport.objects.filter(finished_at=None)
    for old in (
        open_ones.filter(confirmed_at=None, created_at__lt=now - UNCONFIRMED_KEPT),
        open_ones.exclude(stopped="").filter(confirmed_at__lt=now - STOPPED_KEPT),
    ):
        for each in old.select_related("domain__customer")[:100]:
            each.discard(by=None)
    MailboxImport.objects.filter(finished_at__lt=now - KEPT).delete()
