"""An account is deleted: asked for by the person, to be stopped for seven days by one link, then done by a sweep."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts import audit, privacy
from accounts.models import AccountDeletion, Customer, Notice, User
from accounts.models.mailed_link import hash_of
from accounts.notices import notice_kind, send_notice
from foundation.unit_of_work import unit_of_work

DONE = "account_deletion.done"
ADDRESS_KEPT = timedelta(days=3)  # at most, for the last mail
REMEMBERED = timedelta(days=90)


def ask_deletion(user: User) -> AccountDeletion:
    """Begin the delay; while one is under way a second call returns that one.

    ValidationError (code `hindered`) while something is in the way.
    """
    with unit_of_work():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if (pending := pending_deletion(user)) is not None:
            return pending
        if hindrances := privacy.hindrances(user):
            raise ValidationError([each.text for each in hindrances], code="hindered")
        deletion = AccountDeletion(user=user, due_at=timezone.now() + AccountDeletion.DELAY)
        deletion.renew_link(AccountDeletion.DELAY)
        deletion.save()
        audit.record("account_deletion.ask", by=user, subject=user.email)
        send_notice("account_deletion.ask", deletion.pk)
    return deletion


def stop_deletion(deletion: AccountDeletion) -> bool:
    """Keep the account, as the person says; false when that is decided already."""
    with unit_of_work():
        pending = AccountDeletion.objects.pending().filter(pk=deletion.pk)
        stopped = pending.update(stopped_at=timezone.now())
        if stopped:
            audit.record("account_deletion.stop", by=deletion.user, subject=deletion.user.email)
            send_notice("account_deletion.stop", deletion.pk)
    deletion.refresh_from_db(fields=["stopped_at", "done_at"])
    return bool(stopped)


def carry_out(deletion_id: str) -> bool:
    """Erase the person. False before its time, when it was decided already, and when something came in the way since: then
    it is stopped, and the person told.
    """
    now = timezone.now()
    with unit_of_work():
        due = AccountDeletion.objects.pending().filter(pk=deletion_id, due_at__lte=now)
        deletion = due.select_for_update(of=("self",)).select_related("user").first()
        if deletion is None:
            return False
        user = User.objects.select_for_update(no_key=True).get(
            pk=deletion.user_id
        )  # no order of theirs meanwhile
        _hold_members(user)
        if hindrances := privacy.hindrances(user):
            deletion.stopped_at, deletion.hindered = now, True
            reason = " ".join(each.text for each in hindrances)
            audit.record("account_deletion.stop", by=None, subject=user.email, after={"reason": reason})
            send_notice("account_deletion.stop", deletion.pk)
        else:
            deletion.done_at, deletion.address = now, user.email
            privacy.erase_person(user)
            send_notice(DONE, deletion.pk)
        deletion.save()
    return deletion.done_at is not None


def due_deletions() -> list[str]:
    due = AccountDeletion.objects.pending().filter(due_at__lte=timezone.now()).order_by("due_at")
    return [str(pk) for pk in due.values_list("pk", flat=True)[:100]]


def pending_deletion(user: User) -> AccountDeletion | None:
    """The one under way."""
    return user.account_deletions.pending().first()


def find_deletion(secret: str) -> AccountDeletion | None:
    """The one whose link carries this secret, whatever has become of it."""
    return AccountDeletion.objects.select_related("user").filter(secret_hash=hash_of(secret)).first()


def warn_at_sign_in(sender: Any, request: Any, user: User, **kwargs: Any) -> None:
    """Hears Django's signal."""
    if (deletion := pending_deletion(user)) is not None:
        text = f"Your account will be deleted on {deletion.due_at:%-d %B %Y}. You can stop that under “Your data”."
        messages.warning(request, text, fail_silently=True)


def forget_deletions() -> None:
    """Forget where the last mail went, once it went, and in the end that there was a wish."""
    now = timezone.now()
    for deletion in AccountDeletion.objects.exclude(address="")[:100]:
        owed = Notice.objects.filter(kind=DONE, subject_id=str(deletion.pk), sent_at=None)
        if not owed.filter(created_at__gt=now - ADDRESS_KEPT).exists():
            AccountDeletion.objects.filter(pk=deletion.pk).update(address="")
    AccountDeletion.objects.exclude(stopped_at=None, done_at=None).filter(
        due_at__lt=now - REMEMBERED
    ).delete()


def _hold_members(user: User) -> None:
    """Let nobody join or leave the person's customers until it is done, so that none is left without an owner; what apps
    have to lock before them comes first.
    """
    privacy.hold_person(user)
    customers = Customer.objects.filter(memberships__user=user).values("pk")
    list(Customer.objects.filter(pk__in=customers).order_by("pk").select_for_update(no_key=True).only("pk"))


def _about(deletion_id: str, status: str) -> tuple[list[str], dict[str, Any]]:
    """A mail that came too late to be true is not sent."""
    deletion = AccountDeletion.objects.select_related("user").get(pk=deletion_id)
    if deletion.status != status or not deletion.user.is_active:
        return [], {}
    return [deletion.user.email], {"deletion": deletion, "url": deletion.link}


@notice_kind("account_deletion.ask", template="accounts/emails/account_deletion_ask")
def _asked(deletion_id: str) -> tuple[list[str], dict[str, Any]]:
    addresses, context = _about(deletion_id, "pending")
    if not addresses:
        return [], {}
    kept = privacy.kept(context["deletion"].user)
    return addresses, {**context, "erased": privacy.erased(), "kept": kept}


@notice_kind("account_deletion.stop", template="accounts/emails/account_deletion_stop")
def _stopped(deletion_id: str) -> tuple[list[str], dict[str, Any]]:
    addresses, context = _about(deletion_id, "stopped")
    if not addresses:
        return [], {}
    deletion = context["deletion"]
    return addresses, {
        **context,
        "hindrances": privacy.hindrances(deletion.user) if deletion.hindered else [],
    }


@notice_kind(DONE, template="accounts/emails/account_deletion_done")
def _done(deletion_id: str) -> tuple[list[str], dict[str, Any]]:
    """To the address that was theirs; the account has none any more."""
    deletion = AccountDeletion.objects.select_related("user").filter(pk=deletion_id).first()
    if deletion is None or not deletion.address:
        return [], {}
    return [deletion.address], {"deletion": deletion, "kept": privacy.kept(deletion.user)}
