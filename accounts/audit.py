"""The audit trail: one entry for each change, in the transaction of the change."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from accounts.webhooks.events import tell
from foundation.client_address import client_address

if TYPE_CHECKING:
    from accounts.models import AuditEntry, Customer, User

KEPT = timedelta(days=2 * 365)
WHOLE_ADDRESS = timedelta(days=90)
AT_ONCE = 10_000  # entries in one statement

_address: ContextVar[str | None] = ContextVar("audit_address", default=None)
_key: ContextVar[str] = ContextVar("audit_key", default="")
_reason: ContextVar[str] = ContextVar("audit_reason", default="")


def record(
    action: str,
    *,
    by: "User | None",
    customer: "Customer | None" = None,
    subject: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> "AuditEntry":
    """Write an entry, and tell the customer's webhooks. `by` is None for the system itself. RuntimeError outside of a
    transaction, because an entry that can be lost apart from its change proves nothing.
    """
    from accounts.models import AuditEntry

    if not connection.in_atomic_block:
        raise RuntimeError("An audit entry belongs into the transaction of its change.")
    if reason := _reason.get():
        after = {"reason": reason, **(after or {})}
    if key := _key.get():
        after = {**(after or {}), "api_key": key}
    entry = AuditEntry.objects.create(
        action=action,
        by=by,
        by_staff=_as_staff(by, customer),
        customer=customer,
        subject=subject[:300],
        before=before,
        after=after,
        address=_address.get(),
    )
    if customer is not None:
        tell(customer, action, subject, after)
    return entry


def through(key: str) -> None:
    """The rest of this request is the call of a program, with the key that begins so: its entries name it."""
    _key.set(key)


@contextmanager
def because(reason: str) -> Iterator[None]:
    """Give this reason, in `after`, with each entry written inside that has none of its own: staff say why they act on
    what is a customer's.
    """
    token = _reason.set(reason)
    try:
        yield
    finally:
        _reason.reset(token)


def _as_staff(by: "User | None", customer: "Customer | None") -> bool:
    """Whether `by` acts as staff, and not as a member of the customer. Kept, because both may change."""
    if by is None or not by.is_staff:
        return False
    return customer is None or not customer.memberships.filter(user=by).exists()


def forget_old_entries() -> int:
    """Erase entries past their two years, as the privacy notice promises; returns how many."""
    from accounts.models import AuditEntry

    return AuditEntry.objects.filter(at__lt=timezone.now() - KEPT).delete()[0]


def shorten_old_addresses() -> int:
    """Leave of addresses in entries past their 90 days the network alone, /24 or /48, as the privacy notice promises;
    returns how many, at most AT_ONCE. The database allows this change of an entry and hardly any other.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE accounts_auditentry SET address = accounts_audit_shortened(address) WHERE id IN (
                 SELECT id FROM accounts_auditentry
                 WHERE at < %s AND address <> accounts_audit_shortened(address) LIMIT %s)""",
            [timezone.now() - WHOLE_ADDRESS, AT_ONCE],
        )
        return cursor.rowcount


class AuditMiddleware:
    """Remembers where the request under way comes from, for the entries it causes."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        token, of_key = _address.set(client_address(request)), _key.set("")
        try:
            return self.get_response(request)
        finally:
            _address.reset(token)
            _key.reset(of_key)
