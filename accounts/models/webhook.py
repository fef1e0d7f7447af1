"""Webhooks: whom a customer has told of what happens, what they are owed, and what they answered (Standard Webhooks,
https://www.standardwebhooks.com).
"""

import base64
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models.membership import lock_members
from accounts.webhooks.events import TEST, tell_one
from foundation.encryption import EncryptedTextField
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models.customer import Customer
    from accounts.models.user import User

MOST = 10  # of one customer
FORMER_FOR = timedelta(days=1)  # how long the secret before this one signs, too
KEPT = timedelta(days=30)
AT_ONCE = 10_000  # rows in one statement


def new_secret() -> str:
    """`whsec_` and 32 random bytes in Base64, as the specification writes symmetric secrets."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def owed(self) -> "WebhookQuerySet":
        """Those that are on, that something is due to, and that nobody calls just now."""
        now = timezone.now()
        due = Delivery.objects.filter(webhook=models.OuterRef("pk"), ended_at=None, next_at__lte=now)
        return self.filter(models.Exists(due), switched_off_at=None, busy_until__lte=now, pk__in=_with_open())


class Webhook(models.Model):
    """A URL of the customer's that is told of events of some groups. Both secrets sign until `former_until`."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=500)
    groups = ArrayField(models.CharField(max_length=12), help_text="Groups of accounts.webhooks.events.")
    secret = EncryptedTextField(default=new_secret, editable=False)
    former_secret = EncryptedTextField(default="", editable=False)
    former_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    switched_off_at = models.DateTimeField(null=True, editable=False)
    off_because = models.CharField(max_length=200, blank=True, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    is_prompt = models.BooleanField(
        default=False, editable=False, help_text="Its last call was taken, and within two seconds."
    )
    busy_until = models.DateTimeField(default=timezone.now, editable=False)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.url

    def get_absolute_url(self) -> str:
        return reverse("accounts:webhook-page", args=[self.customer.username, self.pk])

    @property
    def status(self) -> str:
        """`off`, `failing` or `active`."""
        if self.switched_off_at:
            return "off"
        return "failing" if self.failing_since else "active"

    @property
    def secrets(self) -> list[str]:
        """What signs now, the newest first."""
        former = self.former_secret if self.former_until and self.former_until > timezone.now() else ""
        return [self.secret, former] if former else [self.secret]

    def change(self, url: str, groups: list[str], *, by: "User") -> bool:
        """Tell another URL, or of other groups of events; false where all is so already."""
        with unit_of_work():
            found = Webhook.objects.select_for_update().get(pk=self.pk)
            before, after = {"url": found.url, "groups": found.groups}, {"url": url, "groups": sorted(groups)}
            if before == after:
                return False
            # Another receiver is unproven and owes nothing for the failures of the one before.
            more = {"is_prompt": False, "failing_since": None} if found.url != url else {}
            self._set(**after, **more)
            self._record("change", by, before=before, after=after)
        return True

    def rotate(self, *, by: "User") -> str:
        """Make a new secret, and return it. The one before goes on to sign for a day, so that receivers can follow."""
        with unit_of_work():
            found = Webhook.objects.select_for_update().get(pk=self.pk)
            until = timezone.now() + FORMER_FOR
            self._set(secret=new_secret(), former_secret=found.secret, former_until=until)
            self._record("rotate", by)
        return self.secret

    def switch_on(self, *, by: "User") -> bool:
        """Tell it again, of what was not yet too old, too; false where it is on."""
        with unit_of_work():
            off = Webhook.objects.filter(pk=self.pk).exclude(switched_off_at=None)
            if not off.update(switched_off_at=None, off_because="", failing_since=None):
                return False
            self.refresh_from_db()
            self._record("switch_on", by)
            self.ask_for_work()
        return True

    def switch_off(self, because: str = "", *, by: "User | None") -> bool:
        """Tell it nothing more; false where it is off. Events go on to be numbered, so that the gap shows."""
        with unit_of_work():
            on = Webhook.objects.filter(pk=self.pk, switched_off_at=None)
            if not on.update(switched_off_at=timezone.now(), off_because=because):
                return False
            self.refresh_from_db()
            self._record("switch_off", by, after={"because": because} if because else None)
        return True

    def remove(self, *, by: "User") -> None:
        """Delete it with its log."""
        with unit_of_work():
            if Webhook.objects.filter(pk=self.pk).delete()[0]:
                self._record("remove", by)

    def test(self) -> "Delivery":
        """Send an event that means nothing; ValidationError while it is off."""
        if self.switched_off_at:
            raise ValidationError("Switch the webhook on first.", code="off")
        with unit_of_work():
            tell_one(self, TEST, str(self.pk))
            self.ask_for_work()
        return self.deliveries.latest("pk")

    def ask_for_work(self) -> None:
        from accounts.tasks import call_webhook

        call_webhook.delay_on_commit(str(self.pk))

    def _set(self, **values: object) -> None:
        Webhook.objects.filter(pk=self.pk).update(**values)
        self.refresh_from_db()

    def _record(self, verb: str, by: "User | None", **values: Any) -> None:
        audit.record(f"webhook.{verb}", by=by, customer=self.customer, subject=self.url, **values)


class EventCounter(models.Model):
    """How many events of one object there have been since the customer had a webhook."""

    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="+")
    object = models.CharField(max_length=320, help_text="<noun>:<id>, for example domain:acme.test.")
    last = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "object"], name="event_counter_once")]

    def __str__(self) -> str:
        return f"{self.object}: {self.last}"


class WebhookEvent(models.Model):
    """Something that happened to an object of a customer: ids and facts, never a name of a person or a text."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="webhook_events")
    kind = models.CharField(max_length=40)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    data = models.JSONField()

    def __str__(self) -> str:
        return f"{self.kind} {self.data['id']}"


class Delivery(models.Model):
    """An event that a webhook is to be told of: waiting until `ended_at`; told if `is_delivered`."""

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(WebhookEvent, models.CASCADE, related_name="deliveries")
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    is_delivered = models.BooleanField(default=False)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["webhook", "next_at"], condition=Q(ended_at=None), name="delivery_open"),
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook}"

    @property
    def status(self) -> str:
        """`delivered`, `given_up`, or `waiting` for its first or next call."""
        if self.ended_at is None:
            return "waiting"
        return "delivered" if self.is_delivered else "given_up"

    def send_again(self) -> bool:
        """Send it now, also where that was done; false while it waits for its first call. ValidationError while the
        webhook is off.
        """
        if self.webhook.switched_off_at:
            raise ValidationError("Switch the webhook on first.", code="off")
        with unit_of_work():
            now = timezone.now()
            waits = Q(ended_at=None, next_at__lte=now)
            done = Delivery.objects.filter(pk=self.pk).exclude(waits)
            if not done.update(ended_at=None, is_delivered=False, next_at=now):
                return False
            self.webhook.ask_for_work()
        return True


class Attempt(models.Model):
    """One call of a webhook: what it answered, the first kilobyte of it, or why it did not."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="calls")
    at = models.DateTimeField(default=timezone.now)
    milliseconds = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True)
    reply = models.CharField(max_length=1024, blank=True)
    failure = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return str(self.status or self.failure)


def add_webhook(customer: "Customer", url: str, groups: list[str], *, by: "User") -> Webhook:
    """Tell this URL of events of these groups from now on; ValidationError where the customer has MOST webhooks."""
    with unit_of_work():
        lock_members(customer.pk)
        if customer.webhooks.count() >= MOST:
            raise ValidationError(f"A customer has at most {MOST} webhooks. Remove one first.", code="limit")
        webhook = Webhook.objects.create(customer=customer, url=url, groups=sorted(groups))
        webhook._record("add", by, after={"url": url, "groups": webhook.groups})
    return webhook


def _with_open() -> list[UUID]:
    """The webhooks with deliveries that have not ended, at the cost of their number, not of their deliveries'."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH RECURSIVE found AS (
                 (SELECT webhook_id FROM accounts_delivery WHERE ended_at IS NULL ORDER BY webhook_id LIMIT 1)
                 UNION ALL
                 SELECT (SELECT webhook_id FROM accounts_delivery
                         WHERE ended_at IS NULL AND webhook_id > found.webhook_id ORDER BY webhook_id LIMIT 1)
                 FROM found WHERE found.webhook_id IS NOT NULL)
               SELECT webhook_id FROM found WHERE webhook_id IS NOT NULL"""
        )
        return [row[0] for row in cursor.fetchall()]


def forget_old_events(now: datetime | None = None) -> int:
    """Erase events past KEPT with all that was done to tell them, AT_ONCE at most; returns how many rows."""
    old = WebhookEvent.objects.filter(at__lt=(now or timezone.now()) - KEPT).values("pk")[:AT_ONCE]
    return WebhookEvent.objects.filter(pk__in=old).delete()[0]
