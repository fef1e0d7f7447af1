"""How mailboxes are found, sorted and filtered: each by an index, whether a domain has ten of them or 100,000."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Exists, F, Func, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce, Upper
from django.utils import timezone

from domains.models.deletable import DeletableQuerySet
from domains.models.mailbox_suspension import MailboxSuspension
from domains.models.send_raise import SendRaise
from domains.models.server import Kind, ServerRow

if TYPE_CHECKING:
    from accounts.models import Customer
    from domains.models.mailbox import Mailbox  # noqa: F401  (names the type of the rows)

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
NEVER_IS_FIRST = Coalesce("last_sign_in_at", Value(NEVER))
FULL_MB = 2**20 * 95 // 100  # so many bytes for each MB of quota make a mailbox nearly full
FULL = Q(quota_mb__gt=0, quota_mb__lte=F("used_bytes") / FULL_MB)
LIVE = Q(deleted_at=None)
INDEXES = [
    models.Index(fields=["domain", "used_bytes", "local_part"], condition=LIVE, name="mailbox_by_used"),
    models.Index("domain", NEVER_IS_FIRST, "local_part", condition=LIVE, name="mailbox_by_sign_in"),
    models.Index(fields=["domain", "local_part"], condition=LIVE & FULL, name="mailbox_full"),
    models.Index(
        fields=["domain", "local_part"],
        condition=LIVE & Q(password_awaited_since__isnull=False),
        name="mailbox_waiting",
    ),
    GinIndex(OpClass("local_part", name="gin_trgm_ops"), name="mailbox_local_part_search"),
    GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="mailbox_name_search"),
]
SORTS: dict[str, tuple[Any, ...]] = {
    "name": (F("local_part"),),
    "used": (F("used_bytes"), F("local_part")),
    "sign_in": (NEVER_IS_FIRST, F("local_part")),
}


class MailboxQuerySet(DeletableQuerySet["Mailbox"]):
    named_by = "local_part"

    def with_state(self) -> "MailboxQuerySet":
        """Each with `row_revision` (its newest wish on its server) and `is_suspended`, for lists, in one query."""
        row = ServerRow.objects.filter(
            server=OuterRef("domain__customer__placement__server"), kind=Kind.MAILBOX, key=OuterRef("pk")
        )
        return self.with_suspension().annotate(row_revision=Subquery(row.values("revision")[:1]))

    def with_suspension(self) -> "MailboxQuerySet":
        """Each with `is_suspended`."""
        return self.annotate(is_suspended=Exists(_suspensions()))

    def with_raise(self) -> "MailboxQuerySet":
        """Each with `raised_to`, recipients a day, where staff raised its send limit."""
        raised = SendRaise.objects.filter(mailbox=OuterRef("pk"), lifted_at=None, until__gt=timezone.now())
        return self.annotate(raised_to=Subquery(raised.values("sends_per_day")[:1]))

    def active(self) -> "MailboxQuerySet":
        return self.exclude(Exists(_suspensions()))

    def suspended(self) -> "MailboxQuerySet":
        return self.filter(Exists(_suspensions()))

    def full(self) -> "MailboxQuerySet":
        """Those that hold 95 % of their quota or more."""
        return self.filter(FULL)

    def never_signed_in(self) -> "MailboxQuerySet":
        return self.alias(signed_in=NEVER_IS_FIRST).filter(signed_in=NEVER)

    def waiting(self) -> "MailboxQuerySet":
        """Those whose owner has been invited and has not set a password yet."""
        return self.filter(password_awaited_since__isnull=False)

    def searched(self, text: str) -> "MailboxQuerySet":
        """Those with `text` in local part or name; where it is shorter than three characters, at the beginning of
        either, because a trigram index finds no less in the middle.
        """
        how = "contains" if len(text) >= 3 else "startswith"
        return self.filter(Q(**{f"local_part__{how}": text.lower()}) | Q(**{f"name__i{how}": text}))

    def sorted_by(self, sort: str, *, falling: bool) -> "MailboxQuerySet":
        return self.order_by(*(key.desc() if falling else key.asc() for key in SORTS[sort]))

    def beyond(self, sort: str, place: Sequence[Any], *, falling: bool) -> "MailboxQuerySet":
        """What comes after this place (a value for each key of the sort) in that order."""
        lookup = "place__lt" if falling else "place__gt"
        values = [value if hasattr(value, "resolve_expression") else Value(value) for value in place]
        return self.alias(place=_row(SORTS[sort])).filter(**{lookup: _row(values)})


def mailboxes_of(customer: "Customer") -> "MailboxQuerySet":
    """All of the customer's that are there, of all its domains."""
    from domains.models.mailbox import Mailbox

    return Mailbox.objects.live().filter(domain__customer=customer, domain__deleted_at=None)


def _suspensions() -> Any:
    return MailboxSuspension.objects.in_force().filter(mailbox=OuterRef("pk"))


def _row(values: Sequence[Any]) -> Func:
    """Compared column by column, as one condition of an index; the output field is never read."""
    return Func(*values, function="ROW", output_field=models.TextField())
