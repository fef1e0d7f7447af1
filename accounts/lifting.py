"""A lost second factor comes off: staff ask for it, the person is told and can stop it, a day later it is done."""

from typing import Any
from urllib.parse import urljoin

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.core import signing
from django.urls import reverse
from django.utils import timezone

from accounts import audit, devices
from accounts.factors import factors_of
from accounts.models import FactorLift, User
from accounts.notices import notice_kind, send_notice
from foundation.unit_of_work import unit_of_work

SALT = "accounts.factor_lift"


def ask_lift(user: User, *, reason: str, by: User) -> FactorLift:
    """Begin the delay; while one is under way a second call returns that one."""
    with unit_of_work():
        User.objects.select_for_update().get(pk=user.pk)
        if (pending := pending_lift(user)) is not None:
            return pending
        lift = FactorLift.objects.create(
            user=user, reason=reason, by=by, due_at=timezone.now() + FactorLift.DELAY
        )
        audit.record("factor_lift.ask", by=by, subject=user.email, after={"reason": reason})
        lift.notice = send_notice("factor_lift.ask", lift.pk)
        lift.save(update_fields=["notice"])
    return lift


def stop_lift(lift: FactorLift, *, by: User | None) -> bool:
    """Keep the second factor; false when that is decided already. `by` is None where the right of who asked ended."""
    with unit_of_work():
        stopped = _undecided().filter(pk=lift.pk).update(stopped_at=timezone.now())
        if stopped:
            audit.record("factor_lift.stop", by=by, subject=lift.user.email)
            send_notice("factor_lift.stop", lift.pk)
    lift.refresh_from_db(fields=["stopped_at", "done_at"])
    return bool(stopped)


def carry_out(lift_id: str) -> bool:
    """Take the second factor off and end all sessions; false before its time, and when it was decided already. Where
    who asked may not ask for it any more, it is stopped instead.
    """
    with unit_of_work():
        lift = _due().select_for_update(of=("self",)).filter(pk=lift_id).select_related("user", "by").first()
        if lift is None:
            return False
        if not may_lift(lift.by, lift.user):
            stop_lift(lift, by=None)
            return False
        _undecided().filter(pk=lift.pk).update(done_at=timezone.now())
        before = {"factors": list(factors_of(lift.user).values())}
        Authenticator.objects.filter(user=lift.user).delete()
        devices.end_all(lift.user)
        audit.record("factor_lift.carry_out", by=None, subject=lift.user.email, before=before)
        send_notice("factor_lift.done", lift.pk)
    return True


def may_lift(by: User, user: User) -> bool:
    """Whether `by` takes a lost second factor off the account of `user`: staff do, of staff a superuser, of one's own
    somebody else.
    """
    is_staff = by.is_active and by.is_staff
    return is_staff and by.pk != user.pk and (by.is_superuser or not user.is_staff)


def warn_at_sign_in(sender: Any, request: Any, user: User, **kwargs: Any) -> None:
    """Hears Django's signal: whoever signs in with a factor that is said to be lost should know."""
    if pending_lift(user) is not None:
        text = "Our staff were told that your second factor is lost. See “Second factor” in your account."
        messages.warning(request, text, fail_silently=True)


def due_lifts() -> list[str]:
    due = _due().order_by("due_at").values_list("pk", flat=True)
    return [str(pk) for pk in due[:200]]


def pending_lift(user: User) -> FactorLift | None:
    """The one under way."""
    return _undecided().filter(user=user).first()


def lift_path(lift: FactorLift) -> str:
    """Where the person sees and stops it, signed in or not."""
    return reverse("accounts:factor-lift", args=[signing.dumps(str(lift.pk), salt=SALT)])


def lift_of(token: str) -> FactorLift | None:
    """The one that a link of ours names."""
    try:
        pk = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return None
    return FactorLift.objects.filter(pk=pk).select_related("user").first()


def _undecided() -> Any:
    return FactorLift.objects.filter(stopped_at=None, done_at=None)


def _due() -> Any:
    """Those whose delay is over, counted from when the mail that tells the person went out."""
    now = timezone.now()
    told = _undecided().filter(notice__sent_at__lte=now - FactorLift.DELAY)
    return told.filter(due_at__lte=now, user__is_active=True)


def _about(lift_id: str, status: str) -> tuple[list[str], dict[str, Any]]:
    """A mail that came too late to be true is not sent."""
    lift = FactorLift.objects.select_related("user").get(pk=lift_id)
    if lift.status != status or not lift.user.is_active:
        return [], {}
    return [lift.user.email], {"lift": lift, "url": urljoin(settings.PANEL_URL, lift_path(lift))}


@notice_kind("factor_lift.ask", template="accounts/emails/factor_lift_ask")
def _asked(lift_id: str) -> tuple[list[str], dict[str, Any]]:
    """The delay begins with this mail, however late it goes."""
    lift = _undecided().filter(pk=lift_id)
    lift.update(due_at=timezone.now() + FactorLift.DELAY)
    return _about(lift_id, "pending")


@notice_kind("factor_lift.stop", template="accounts/emails/factor_lift_stop")
def _stopped(lift_id: str) -> tuple[list[str], dict[str, Any]]:
    return _about(lift_id, "stopped")


@notice_kind("factor_lift.done", template="accounts/emails/factor_lift_done")
def _done(lift_id: str) -> tuple[list[str], dict[str, Any]]:
    return _about(lift_id, "done")
