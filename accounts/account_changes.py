"""What changed in how somebody signs in: an audit entry, and with it a mail to the address that was theirs before."""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import audit
from accounts.browsers import browser_in_words
from accounts.models import AuditEntry, User
from accounts.notices import notice_kind, send_notice

NOTICE = "person.change"
SHOWN_FOR = timedelta(days=90)

# Audit action -> the subject of the mail, and what to tell, with the entry's `after` filled in.
WORDS = {
    "password.change": ("Your password was changed", "The password of your account was changed."),
    "password.reset": (
        "Your password was reset",
        "The password of your account was reset, with a link that we had sent to your address.",
    ),
    "email.change": (
        "Your address was changed",
        "The address of your account was changed to {new}. Mail about it no longer comes here.",
    ),
    "data_export.fetch": ("Your data were downloaded", "A copy of what we hold about you was downloaded."),
    "factors.change": ("Your second factor was changed", "Your second factor was changed: {change}."),
}


def tell(action: str, user: User, *, request: HttpRequest, address: str = "", **facts: Any) -> AuditEntry:
    """Audit this change by `user` of their own account, and owe the mail about it to `address`, or to the one they
    have; call inside the transaction of the change.
    """
    browser = browser_in_words(request.META.get("HTTP_USER_AGENT", ""))
    after = {**facts, "browser": browser}
    entry = audit.record(action, by=user, subject=address or user.email, after=after)
    send_notice(NOTICE, entry.pk)
    return entry


def latest(user: User) -> QuerySet[AuditEntry]:
    """The last of them, for the person's own page; each has its `sentence`."""
    since = timezone.now() - SHOWN_FOR
    return AuditEntry.objects.filter(by=user, action__in=WORDS, at__gt=since)[:10]


def sentence(entry: AuditEntry) -> str:
    return WORDS[entry.action][1].format(**(entry.after or {}))


@notice_kind(NOTICE, template="accounts/emails/change")
def _mail(entry_id: str) -> tuple[list[str], dict[str, Any]]:
    entry = AuditEntry.objects.filter(pk=entry_id, by__is_active=True).first()
    if entry is None:
        return [], {}
    subject, _ = WORDS[entry.action]
    return [entry.subject], {"entry": entry, "subject": subject, "sentence": sentence(entry)}
