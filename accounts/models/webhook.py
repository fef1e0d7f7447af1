"""Webhooks: whom a customer has told of what happens (Standard Webhooks, https://www.standardwebhooks.com)."""

import base64
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models.delivery import Delivery
from accounts.models.membership import lock_members
from accounts.webhooks.events import GROUPS, TEST, tell_one
from foundation.encryption import EncryptedTextField
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models.customer import Customer
    from accounts.models.user import User

MOST = 10  # of one customer
FORMER_FOR = timedelta(days=1)  # how long the secret before this one signs, too


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
    def groups_in_words(self) -> list[str]:
        return [words for group, (words, _) in GROUPS.items() if group in self.groups]

    @property
    def former_signs_until(self) -> datetime | None:
        """None where the secret before this one signs no more, or there was none."""
        return self.former_until if self.former_until and self.former_until > timezone.now() else None

    @property
    def secrets(self) -> list[str]:
        """What signs now, the newest first."""
        return [self.secret, self.former_secret] if self.former_signs_until else [self.secret]

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
        return self.deliveries.filter(event__kind=TEST).latest("pk")

    def ask_for_work(self) -> None:
        from accounts.tasks import call_webhook

        call_webhook.delay_on_commit(str(self.pk))

    def _set(self, **values: object) -> None:
        Webhook.objects.filter(pk=self.pk).update(**values)
        self.refresh_from_db()

    def _record(self, verb: str, by: "User | None", **values: Any) -> None:
        audit.record(f"webhook.{verb}", by=by, customer=self.customer, subject=self.url, **values)


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
