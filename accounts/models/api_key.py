"""Keys of programs: who may call the API for a customer, what they called, and what was answered."""

import secrets
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from uuid import uuid4

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.urls import reverse
from django.utils import timezone
from rest_framework.utils.encoders import JSONEncoder

from accounts import audit
from accounts.models.mailed_link import hash_of
from foundation.unawaited import UNAWAITED
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models.user import User

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
REQUESTS_KEPT = timedelta(days=7)
REPLIES_KEPT = timedelta(hours=24)
AT_ONCE = 10_000  # rows in one statement
READABLE = 8  # characters of the part that people tell keys apart by


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def live(self) -> "ApiKeyQuerySet":
        """Neither revoked nor past their day."""
        unending = models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now())
        return self.filter(unending, revoked_at=None)


class ApiKey(models.Model):
    """Lets a program act for a customer as one of its members, with at most that member's rights. Shown once: what is
    stored is a readable beginning and a hash of the whole, whose 256 random bits need no slow one.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.ForeignKey("accounts.Customer", models.CASCADE, related_name="api_keys")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=60)
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    secret_hash = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=32), help_text="Rights, as accounts.access names them.")
    networks = ArrayField(models.CharField(max_length=43), default=list, help_text="Empty: from everywhere.")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    # What it did in the minute that began at `minute`, written over by the next one.
    minute = models.DateTimeField(null=True, editable=False)
    reads = models.PositiveIntegerField(default=0, editable=False)
    writes = models.PositiveIntegerField(default=0, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_used_from = models.GenericIPAddressField(null=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"

    def get_absolute_url(self) -> str:
        return reverse("accounts:key-page", args=[self.customer.username, self.pk])

    @property
    def status(self) -> str:
        """`revoked`, `expired` or `active`."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= timezone.now() else "active"

    def is_good_from(self, address: str) -> bool:
        """Whether it may be used from this IP address."""
        parsed = ip_address(address)
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return not self.networks or any(parsed in ip_network(network) for network in self.networks)

    def renew_secret(self) -> str:
        """Give it a new secret, to be saved; returns the whole key, which is stored nowhere."""
        self.prefix = "mxp_" + "".join(secrets.choice(ALPHABET) for _ in range(READABLE))
        key = f"{self.prefix}_{secrets.token_urlsafe(32)}"
        self.secret_hash = hash_of(key)
        return key

    def count_call(self, *, writes: bool, address: str) -> tuple[int, int, datetime]:
        """Count a call, also one that goes on to be refused: (calls of its sort in this minute, those of all keys of its
        person, when the minute began).
        """
        counted = "writes" if writes else "reads"
        now = timezone.now()
        minute = now.replace(second=0, microsecond=0)
        with connection.cursor() as cursor:
            cursor.execute(
                f"""UPDATE accounts_apikey SET minute = %s, last_used_at = %s, last_used_from = %s,
                     reads = CASE WHEN minute = %s THEN reads ELSE 0 END + %s,
                     writes = CASE WHEN minute = %s THEN writes ELSE 0 END + %s
                   WHERE id = %s RETURNING {counted}, {counted} + coalesce((SELECT sum(other.{counted})
                     FROM accounts_apikey other WHERE other.person_id = accounts_apikey.person_id
                     AND other.minute = accounts_apikey.minute AND other.id <> accounts_apikey.id), 0),
                   {UNAWAITED}""",  # noqa: S608
                [minute, now, address, minute, int(not writes), minute, int(writes), self.pk],
            )
            calls, in_all, _ = cursor.fetchone() or (0, 0, "")
        return calls, in_all, minute

    def note_call(self, *, method: str, path: str, status: int, milliseconds: int, address: str) -> None:
        """Keep that it was called, as an ApiRequest."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"""INSERT INTO accounts_apirequest (key_id, at, method, path, status, milliseconds, address)
                   VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING {UNAWAITED}""",  # noqa: S608
                [self.pk, timezone.now(), method[:8], path[:300], status, milliseconds, address],
            )

    def revoke(self, *, by: "User | None") -> bool:
        """End it at once; false when that is done already."""
        with unit_of_work():
            now = timezone.now()
            if not ApiKey.objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=now):
                return False
            self.revoked_at = now
            audit.record("key.revoke", by=by, customer=self.customer, subject=str(self))
        return True


class ApiRequest(models.Model):
    """One call, kept for 7 days. Never a body, never a query."""

    key = models.ForeignKey(ApiKey, models.CASCADE, related_name="requests")
    at = models.DateTimeField(default=timezone.now, db_index=True)
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=300)
    status = models.PositiveSmallIntegerField()
    milliseconds = models.PositiveIntegerField()
    address = models.GenericIPAddressField()

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["key", "-id"], name="api_request_of_key")]

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.status}"


class KeptReply(models.Model):
    """What a POST with an `Idempotency-Key` was answered, for 24 hours."""

    key = models.ForeignKey(ApiKey, models.CASCADE, related_name="replies")
    name = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, help_text="Keyed hash of path and body.")
    status = models.PositiveSmallIntegerField()
    body = models.JSONField(null=True, encoder=JSONEncoder)
    at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "name"], name="kept_reply_once")]

    def __str__(self) -> str:
        return f"{self.name}: {self.status}"


def forget_old_requests() -> int:
    """Erase calls past REQUESTS_KEPT, AT_ONCE at most; returns how many."""
    old = ApiRequest.objects.filter(at__lt=timezone.now() - REQUESTS_KEPT).values("pk")[:AT_ONCE]
    return ApiRequest.objects.filter(pk__in=old).delete()[0]


def forget_old_replies() -> int:
    """Erase replies past REPLIES_KEPT, AT_ONCE at most; returns how many."""
    old = KeptReply.objects.filter(at__lt=timezone.now() - REPLIES_KEPT).values("pk")[:AT_ONCE]
    return KeptReply.objects.filter(pk__in=old).delete()[0]
