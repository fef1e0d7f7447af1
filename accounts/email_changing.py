"""Another address to sign in with: asked for by the person, confirmed by a link at both ends, stopped by either."""

from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urljoin

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts import audit, devices
from accounts.account_changes import tell
from accounts.models import EmailChange, User
from accounts.notices import notice_kind, send_notice
from foundation.unit_of_work import unit_of_work

End = Literal["old", "new"]

SALT = "accounts.email_change"
A_DAY = 10  # wishes of one person, because each sends a mail to an address that may be a stranger's


def ask_change(user: User, new: str) -> EmailChange:
    """Begin; an earlier wish that is still open is stopped. Who has the new address already is told there alone."""
    with unit_of_work():
        User.objects.select_for_update().get(pk=user.pk)
        open_ones = EmailChange.objects.filter(user=user, done_at=None, stopped_at=None)
        open_ones.update(stopped_at=timezone.now())
        change = EmailChange.objects.create(user=user, old=user.email, new=new)
        audit.record("email.ask_change", by=user, subject=user.email, after={"new": new})
        send_notice("email_change.old", change.pk)
        send_notice("email_change.taken" if is_taken(new, user) else "email_change.new", change.pk)
    return change


def stop_change(change: EmailChange) -> bool:
    """Keep the old address; false when that is decided already."""
    with unit_of_work():
        stopped = EmailChange.objects.pending().filter(pk=change.pk).update(stopped_at=timezone.now())
        if stopped:
            audit.record("email.stop_change", by=change.user, subject=change.old)
    return bool(stopped)


def confirm_change(change: EmailChange, end: End, *, request: HttpRequest) -> bool:
    """Note the yes of one end, and with that of the second make the change; false when nothing was left to confirm."""
    with unit_of_work():
        change = EmailChange.objects.select_for_update(of=("self",)).select_related("user").get(pk=change.pk)
        if change.status != "pending" or getattr(change, f"{end}_confirmed_at"):
            return False
        setattr(change, f"{end}_confirmed_at", timezone.now())
        if change.old_confirmed_at and change.new_confirmed_at:
            _make(change, request)
        change.save()
    return True


def is_taken(address: str, user: User) -> bool:
    """Whether somebody else has this address."""
    others = EmailAddress.objects.exclude(user=user).filter(email__iexact=address, verified=True)
    return others.exists() or User.objects.exclude(pk=user.pk).filter(email__iexact=address).exists()


def has_asked_enough(user: User) -> bool:
    since = timezone.now() - timedelta(days=1)
    return EmailChange.objects.filter(user=user, at__gt=since).count() >= A_DAY


def change_of(token: str) -> tuple[EmailChange, End] | None:
    """What a link of ours is about, and to which end it went."""
    try:
        pk, end = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return None
    change = EmailChange.objects.filter(pk=pk).select_related("user").first()
    return (change, end) if change else None


def link_path(change: EmailChange, end: End) -> str:
    return reverse("accounts:email-change", args=[signing.dumps([str(change.pk), end], salt=SALT)])


def _make(change: EmailChange, request: Any) -> None:
    """The last step, or where the new address became somebody else's meanwhile, the end of it."""
    user = change.user
    if is_taken(change.new, user):
        change.stopped_at = timezone.now()
        return
    EmailAddress.objects.filter(user=user).delete()
    EmailAddress.objects.create(user=user, email=change.new, verified=True, primary=True)
    user.email = change.new
    user.save(update_fields=["email"])
    change.done_at = timezone.now()
    tell("email.change", user, request=request, address=change.old, new=change.new)
    is_theirs = request.user.is_authenticated and request.user.pk == user.pk
    devices.end_all(user, but=request.session.session_key if is_theirs else None)


def _about(change_id: str, end: End) -> tuple[list[str], dict[str, Any]]:
    change = EmailChange.objects.pending().select_related("user").filter(pk=change_id).first()
    if change is None:
        return [], {}
    url = urljoin(settings.PANEL_URL, link_path(change, end))
    return [getattr(change, end)], {"change": change, "url": url}


@notice_kind("email_change.old", template="accounts/emails/email_change_old")
def _to_the_old(change_id: str) -> tuple[list[str], dict[str, Any]]:
    return _about(change_id, "old")


@notice_kind("email_change.new", template="accounts/emails/email_change_new")
def _to_the_new(change_id: str) -> tuple[list[str], dict[str, Any]]:
    return _about(change_id, "new")


@notice_kind("email_change.taken", template="accounts/emails/email_change_taken")
def _to_whoever_has_it(change_id: str) -> tuple[list[str], dict[str, Any]]:
    return _about(change_id, "new")
