"""Mail servers, who is placed on which, and what each should hold (architecture, Revisions)."""

from functools import partial

from celery import current_app
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator, URLValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts import audit
from accounts.models import Customer, SuspensionBase, User
from foundation.encryption import EncryptedTextField
from foundation.unit_of_work import unit_of_work


class Kind(models.TextChoices):
    """The kinds of rows a mail server holds, as the wire format names them."""

    CUSTOMER = "customer", "customer"
    DOMAIN = "domain", "domain"
    MAILBOX = "mailbox", "mailbox"
    DKIM = "dkim", "DKIM key"
    STATE = "state", "state"


def standard_ports() -> dict[str, int]:
    """The ports that mail programs use (RFC 8314, RFC 6409, RFC 5804)."""
    return {
        "smtp": 25,
        "submission": 587,
        "submissions": 465,
        "submission_alt": 2525,
        "imap": 143,
        "imaps": 993,
        "pop3": 110,
        "pop3s": 995,
        "sieve": 4190,
    }


class ServerQuerySet(models.QuerySet["MailServer"]):
    def behind(self) -> "ServerQuerySet":
        """Servers that do not yet make true everything that is wished of them, and to which pages of changes may be
        sent.
        """
        return self.filter(sync__halted_at=None, sync__rebuild_wanted_at=None).filter(
            Q(sync__confirmed_revision__lt=F("revision")) | Q(sync__effective__lt=F("revision"))
        )

    def rebuild_owed(self) -> "ServerQuerySet":
        """Servers that are to be filled anew from nothing, and may be spoken to."""
        return self.filter(sync__halted_at=None).exclude(sync__rebuild_wanted_at=None)

    def well(self) -> "ServerQuerySet":
        """Servers whose last call succeeded."""
        return self.filter(sync__failed_at=None)

    def failing(self) -> "ServerQuerySet":
        """Servers whose last call failed: none but the slow queue speaks to them."""
        return self.exclude(sync__failed_at=None)

    def due(self) -> "ServerQuerySet":
        """Servers that need not be left alone for now after a failure."""
        return self.filter(Q(sync__retry_at=None) | Q(sync__retry_at__lte=timezone.now()))


class MailServer(models.Model):
    """A mail server and the revision up to which changes have been wished of it. Enrolled by
    `server_enrol`.
    """

    name = models.CharField(
        max_length=253, unique=True, help_text="Host name, as MX records and mail programs use it."
    )
    address = models.GenericIPAddressField(help_text="The address of the name's A or AAAA record.")
    agent_url = models.CharField("agent's URL", max_length=300, validators=[URLValidator(schemes=["https"])])
    certificate_sha256 = models.CharField(
        "agent's certificate",
        max_length=64,
        validators=[RegexValidator(r"\A[0-9a-f]{64}\Z")],
        help_text="SHA-256 of the agent's certificate: 64 hex digits.",
    )
    agent_key = EncryptedTextField(editable=False)
    # While they are being renewed (domains.renewal) the next ones are valid beside the present ones.
    next_certificate_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    next_agent_key = EncryptedTextField(blank=True, default="", editable=False)
    ports = models.JSONField(default=standard_ports)
    takes_new_customers = models.BooleanField(default=True)
    # Revision 1 is the empty server: its first page, even without rows, makes it effective.
    revision = models.BigIntegerField(default=1, editable=False)
    floor = models.BigIntegerField(
        default=0, editable=False, help_text="Highest revision of a purged tombstone."
    )
    enrolled_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ServerQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def lag(self) -> int:
        """Revisions that are wished and not yet true."""
        return self.revision - self.sync.effective

    def resume(self, *, by: User | None) -> bool:
        """Let a halted sync try again, after somebody has put right what halted it; false when it is not
        halted.
        """
        with unit_of_work():
            resumed = (
                ServerSync.objects.filter(server=self)
                .exclude(halted_at=None)
                .update(halted_at=None, halted_reason="", compared_rows=0)
            )
            if resumed:
                self.incidents.filter(kind="halted", closed_at=None).update(closed_at=timezone.now())
                audit.record("server.resume", by=by, subject=self.name)
        return bool(resumed)

    def ask_rebuild(self, *, by: User | None) -> bool:
        """Fill the server anew from nothing; false when that is owed already. ValidationError where mailnode there is
        too old for it: changes would wait for a rebuild that cannot be.
        """
        asked = ServerSync.objects.filter(server=self, rebuild_wanted_at=None)
        facts = {"rebuild_wanted_at": timezone.now(), "rebuild_reason": "Asked for by staff."}
        return self._ask("rebuild", asked, facts, by)

    def ask_digest(self, *, by: User | None) -> bool:
        """Compare what the server holds with what it should hold; false when that is owed already. ValidationError
        where mailnode there is too old for it.
        """
        asked = ServerSync.objects.filter(server=self, digest_wanted_at=None)
        return self._ask("digest", asked, {"digest_wanted_at": timezone.now()}, by)

    def _ask(
        self, what: str, asked: "models.QuerySet[ServerSync]", facts: dict[str, object], by: User | None
    ) -> bool:
        if self.sync.reported_at and self.sync.wire < 2:
            raise ValidationError(
                f"mailnode on {self} speaks wire {self.sync.wire}, and a {what} needs wire 2. "
                "Nothing was changed. Update mailnode there, then ask again."
            )
        with unit_of_work():
            is_new = bool(asked.update(**facts))
            if is_new:
                audit.record(f"server.{what}", by=by, subject=self.name)
                task = partial(current_app.send_task, f"domains.tasks.{what}_server", args=[self.pk])
                transaction.on_commit(task, robust=True)  # a lost hint is found by the sweep
        return is_new


class ServerSync(models.Model):
    """How far a server has come. Apart from MailServer, so that noting it never waits for the counter's
    lock.
    """

    server = models.OneToOneField(MailServer, models.CASCADE, primary_key=True, related_name="sync")
    confirmed_revision = models.BigIntegerField(default=0)
    confirmed_mark = models.CharField(max_length=64, blank=True)
    pending_revision = models.BigIntegerField(null=True)
    pending_mark = models.CharField(max_length=64, blank=True)
    effective = models.BigIntegerField(default=0)
    contact_at = models.DateTimeField("last contact", null=True)
    wire = models.PositiveSmallIntegerField(default=1, help_text="The newest version that both sides speak.")
    failed_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=1000, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="Calls that failed one after the other.")
    retry_at = models.DateTimeField(null=True)
    halted_at = models.DateTimeField(null=True)
    halted_reason = models.CharField(max_length=1000, blank=True)
    # The node's pair that the panel never gave, while the sync is halted for it.
    halted_revision = models.BigIntegerField(null=True)
    halted_mark = models.CharField(max_length=64, blank=True)
    # A rebuild that is owed, and how far it is: rows sent of rows in all.
    rebuild_wanted_at = models.DateTimeField(null=True)
    rebuild_reason = models.CharField(max_length=1000, blank=True)
    rebuild_started_at = models.DateTimeField(null=True)
    rebuild_rows = models.BigIntegerField(default=0)
    rebuild_total = models.BigIntegerField(default=0)
    rebuilt_at = models.DateTimeField("last rebuild", null=True)
    # A digest that is owed, the domain after which it goes on, and when the last one was complete.
    digest_wanted_at = models.DateTimeField(null=True)
    digest_after = models.CharField(max_length=64, blank=True)
    digest_at = models.DateTimeField("last digest", null=True)
    # The comparison that staff decide about after lost history (domains.driver.history): of which two states.
    compared_at = models.DateTimeField(null=True)
    compared_revision = models.BigIntegerField(null=True)
    compared_node_revision = models.BigIntegerField(null=True)
    compared_node_mark = models.CharField(max_length=64, blank=True)
    compared_rows = models.BigIntegerField(default=0, help_text="Rows that the comparison has seen so far.")
    compare_failure = models.CharField(max_length=1000, blank=True)
    # Staff decided that the node is right, and what it has is being taken.
    taking_since = models.DateTimeField(null=True)
    taking_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    usage_failed_at = models.DateTimeField(null=True, help_text="Since when no usage can be taken.")
    usage_cursor = models.CharField(max_length=64, blank=True)
    reported = models.JSONField("status as reported", default=dict)
    reported_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "sync"

    def __str__(self) -> str:
        return f"{self.server}: {self.effective}"


class ServerRow(models.Model):
    """A row that a server should hold and when it last changed; its content is read from the models when it
    is sent.
    """

    server = models.ForeignKey(MailServer, models.CASCADE, related_name="rows")
    kind = models.CharField(max_length=32, choices=Kind.choices)
    key = models.UUIDField()
    revision = models.BigIntegerField()
    gone = models.BooleanField(default=False)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["server", "kind", "key"], name="server_row_once")]
        indexes = [
            models.Index(fields=["server", "revision"], name="server_row_by_revision"),
            models.Index(fields=["changed_at"], name="server_row_gone", condition=Q(gone=True)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} at {self.revision}"


class ServerMark(models.Model):
    """A pair of revision and mark that the panel gave a server: proof that they share this history."""

    server = models.ForeignKey(MailServer, models.CASCADE, related_name="marks")
    revision = models.BigIntegerField()
    mark = models.CharField(max_length=64)
    given_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["server", "revision", "mark"], name="server_mark_once")
        ]
        indexes = [models.Index(fields=["given_at"], name="server_mark_by_age")]

    def __str__(self) -> str:
        return f"{self.server} at {self.revision}"


class Difference(models.Model):
    """A row in which a node and the panel differ, found by a comparison after lost history. Contents are not kept:
    `label` names the row for staff, `node` and `panel` say in words what each side has ("" = nothing).
    """

    server = models.ForeignKey(MailServer, models.CASCADE, related_name="differences")
    kind = models.CharField(max_length=32)
    key = models.UUIDField()
    label = models.CharField(max_length=400)
    node = models.CharField(max_length=500, blank=True)
    panel = models.CharField(max_length=500, blank=True)
    node_right = models.CharField(max_length=200, help_text="What changes here if the node is right.")
    panel_right = models.CharField(
        max_length=200, help_text="What changes on the node if the panel is right."
    )
    taken_at = models.DateTimeField(null=True, help_text="When the panel took what the node has.")
    refused = models.CharField(max_length=300, blank=True, help_text="Why the panel did not take it.")

    class Meta:
        ordering = ["kind", "label", "key"]
        constraints = [models.UniqueConstraint(fields=["server", "kind", "key"], name="difference_once")]
        indexes = [models.Index(fields=["server", "kind", "label", "key"], name="difference_by_label")]

    def __str__(self) -> str:
        return f"{self.kind} {self.label}"


class Placement(models.Model):
    """Where a customer's mail is. Without `placed_at` it is a wish of staff, granted when service starts."""

    customer = models.OneToOneField(Customer, models.CASCADE, related_name="placement")
    server = models.ForeignKey(MailServer, models.PROTECT, related_name="placements")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, editable=False, related_name="+"
    )
    wished_at = models.DateTimeField(default=timezone.now, editable=False)
    placed_at = models.DateTimeField(null=True, editable=False)
    contact = models.CharField(
        max_length=254, blank=True, editable=False, help_text="Whom postmaster@ and abuse@ lead to there."
    )
    contact_due_at = models.DateTimeField(
        default=timezone.now, editable=False, help_text="When to look next whether that is still right."
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["contact_due_at"], condition=~Q(placed_at=None), name="placement_contact_due"
            )
        ]

    def __str__(self) -> str:
        return f"{self.customer} on {self.server}"

    def wish(self, *, by: User | None) -> None:
        """Keep where staff want the customer to go; RuntimeError once it is placed, for moving is another
        matter.
        """
        with unit_of_work():
            Customer.objects.select_for_update().get(pk=self.customer_id)
            if Placement.objects.filter(customer=self.customer_id).exclude(placed_at=None).exists():
                raise RuntimeError(f"{self.customer} is placed already.")
            self.by = by
            self.save()
            after = {"server": self.server.name}
            audit.record(
                "placement.wish", by=by, customer=self.customer, subject=self.customer.username, after=after
            )


class ServiceStop(SuspensionBase):
    """A customer whose service has ended: nothing is sent or received, and what is there can still be
    fetched.
    """

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="service_stops")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=Q(lifted_at=None), name="service_stopped_once"
            ),
        ]

    def __str__(self) -> str:
        return f"Service of {self.customer} ended"
