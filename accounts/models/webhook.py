"""Webhooks: whom a customer has told of what happens (Standard Webhooks, https://www.standardwebhooks.com)."""

import base64
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models.delivery import GIVEN_UP_AFTER, Delivery
from accounts.models.membership import lock_members
from accounts.webhooks.events import GROUPS, TEST, ask_for_call, tell_one
from accounts.webhooks.targets import check_target
from foundation.encryption import EncryptedTextField
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models.customer import Customer
    from accounts.models.user import User

MOST = 10  # of one customer
FORMER_FOR = timedelta(days=1)  # how long the secret before this one signs, too
BUSY = timedelta(seconds=30)  # a worker's time for one call; after it another takes over from one that died
UNBLAMED: Mapping[str, Any] = {"failing_since": None, "failures": 0}


def new_secret() -> str:
    """`whsec_` and 32 random bytes in Base64, as the specification writes symmetric secrets."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def callable(self) -> "WebhookQuerySet":
        """Those that are on, that nobody calls just now, and that have rested enough after a failure."""
        now = timezone.now()
        # A worker whose clock was ahead is waited for no longer than any other.
        free = Q(busy_until__lte=now) | Q(busy_until__gt=now + BUSY)
        return self.filter(free, switched_off_at=None, rests_until__lte=now)

    def owed(self) -> "WebhookQuerySet":
        """Those of them that something is due to."""
        due = Delivery.objects.filter(webhook=OuterRef("pk"), ended_at=None, next_at__lte=timezone.now())
        return self.callable().filter(Exists(due), pk__in=_with_open())

    def with_newest(self) -> "list[tuple[Webhook, Delivery | None]]":
        """Each with what it was told last, in two queries."""
        newest = Delivery.objects.filter(webhook=OuterRef("pk")).order_by("-pk").values("pk")[:1]
        webhooks: list[Any] = list(self.select_related("customer").annotate(newest=Subquery(newest)))
        told = Delivery.objects.select_related("event").in_bulk([webhook.newest for webhook in webhooks])
        return [(webhook, told.get(webhook.newest)) for webhook in webhooks]


class Webhook(models.Model):
    """A URL of the customer's that is told of events of some groups. Both secrets sign until `former_until`."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="webhooks")
    url = EncryptedTextField(help_text="May hold a secret of the receiver's in its path or query.")
    groups = ArrayField(models.CharField(max_length=12), help_text="Groups of accounts.webhooks.events.")
    secret = EncryptedTextField(default=new_secret, editable=False)
    former_secret = EncryptedTextField(default="", editable=False)
    former_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    switched_off_at = models.DateTimeField(null=True, editable=False)
    off_because = models.CharField(max_length=200, blank=True, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    failures = models.PositiveIntegerField(default=0, editable=False, help_text="In a row.")
    is_prompt = models.BooleanField(
        default=False, editable=False, help_text="Its last call was taken, and within two seconds."
    )
    busy_until = models.DateTimeField(default=timezone.now, editable=False)
    rests_until = models.DateTimeField(default=timezone.now, editable=False)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        """Its host and the beginning of its id: the rest of the URL may be a secret."""
        return f"{self.host} ({self.pk.hex[:8]})"

    def get_absolute_url(self) -> str:
        return reverse("accounts:webhook-page", args=[self.customer.username, self.pk])

    @property
    def status(self) -> str:
        """`off`, `failing` or `active`."""
        if self.switched_off_at:
            return "off"
        return "failing" if self.failing_since else "active"

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc.rpartition("@")[2]

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
        """Tell another URL, or of other groups of events; false where all is so already. ValidationError for a URL that
        nothing is sent to.
        """
        groups = _checked(url, groups)
        with self._locked() as found:
            if (found.url, found.groups) == (url, groups):
                return False
            before = {"host": str(found), "groups": found.groups}
            # Another receiver is unproven and owes nothing for the failures of the one before.
            more = {"is_prompt": False, **UNBLAMED} if found.url != url else {}
            self._set(url=url, groups=groups, **more)
            self._record("change", by, before=before, after={"host": str(self), "groups": groups})
            self.call_soon()
        return True

    def rotate(self, *, by: "User") -> str:
        """Make a new secret, and return it. The one before goes on to sign for a day, so that receivers can follow."""
        with self._locked() as found:
            until = timezone.now() + FORMER_FOR
            self._set(secret=new_secret(), former_secret=found.secret, former_until=until)
            self._record("rotate", by)
        return self.secret

    def switch_on(self, *, by: "User") -> bool:
        """Tell it again, also of what waits and is not older than three days; false where it is on."""
        with self._locked() as found:
            if found.switched_off_at is None:
                return False
            now = timezone.now()
            old = self.deliveries.filter(ended_at=None, event__at__lt=now - GIVEN_UP_AFTER)
            old.update(ended_at=now)
            self._set(switched_off_at=None, off_because="", **UNBLAMED)
            self._record("switch_on", by)
            self.call_soon()
        return True

    def switch_off(self, because: str = "", *, by: "User | None") -> bool:
        """Tell it nothing more; false where it is off. Events go on to be numbered."""
        with self._locked() as found:
            if found.switched_off_at is not None:
                return False
            self._set(switched_off_at=timezone.now(), off_because=because)
            self._record("switch_off", by, after={"because": because} if because else None)
        return True

    def remove(self, *, by: "User") -> None:
        """Delete it with its log; a second time changes nothing."""
        with unit_of_work():
            if not Webhook.objects.select_for_update().filter(pk=self.pk).exists():
                return
            with connection.cursor() as cursor:  # the ORM would read every row of the log first
                cursor.execute(
                    """DELETE FROM accounts_attempt WHERE delivery_id IN
                       (SELECT id FROM accounts_delivery WHERE webhook_id = %s)""",
                    [self.pk],
                )
                cursor.execute("DELETE FROM accounts_delivery WHERE webhook_id = %s", [self.pk])
                cursor.execute("DELETE FROM accounts_webhook WHERE id = %s", [self.pk])
            self._record("remove", by)

    def test(self) -> "Delivery":
        """Send an event that means nothing; ValidationError while it is off."""
        with unit_of_work():
            delivery = tell_one(self, TEST, str(self.pk))
            if delivery is None:
                raise ValidationError("Switch the webhook on first.", code="off")
            self.call_soon()
        return self.deliveries.get(pk=delivery)

    def call_soon(self) -> None:
        """However long it should rest after failures."""
        Webhook.objects.filter(pk=self.pk).update(rests_until=timezone.now())
        ask_for_call(self.pk)

    @contextmanager
    def _locked(self) -> "Iterator[Webhook]":
        """As it is now, until the end of the unit of work. ValidationError where it was removed."""
        with unit_of_work():
            found = Webhook.objects.select_for_update(no_key=True).filter(pk=self.pk).first()
            if found is None:
                raise ValidationError("This webhook was removed.", code="removed")
            yield found

    def _set(self, **values: object) -> None:
        Webhook.objects.filter(pk=self.pk).update(**values)
        self.refresh_from_db()

    def _record(self, verb: str, by: "User | None", **values: Any) -> None:
        audit.record(f"webhook.{verb}", by=by, customer=self.customer, subject=str(self), **values)


def add_webhook(customer: "Customer", url: str, groups: list[str], *, by: "User") -> Webhook:
    """Tell this URL of events of these groups from now on; ValidationError for a URL that nothing is sent to, and where
    the customer has MOST webhooks.
    """
    groups = _checked(url, groups)
    with unit_of_work():
        lock_members(customer.pk)
        if customer.webhooks.count() >= MOST:
            raise ValidationError(f"A customer has at most {MOST} webhooks. Remove one first.", code="limit")
        webhook = Webhook.objects.create(customer=customer, url=url, groups=groups)
        webhook._record("add", by, after={"groups": groups})
    return webhook


def _checked(url: str, groups: list[str]) -> list[str]:
    """The groups as they are kept. ValidationError by field."""
    try:
        check_target(url)
    except ValidationError as error:
        raise ValidationError({"url": error}) from error
    if not groups or not set(groups) <= set(GROUPS):
        raise ValidationError({"groups": "Choose at least one of the groups of events."}, code="groups")
    return sorted(set(groups))


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
