"""Wrong codes of second factors, counted for each person over a day: few enough that no code is ever guessed. Counted in
the default cache as all limits are; each count slides, so nobody is locked out for good, and passkeys open all the while.
"""

from typing import Any

from allauth.core import context
from allauth.core.internal import ratelimit  # the public one counts allauth's own actions alone
from django.core.cache import cache
from django.core.exceptions import ValidationError

from accounts import audit
from accounts.models import AuditEntry, User
from accounts.notices import notice_kind, send_notice
from foundation.unit_of_work import unit_of_work

A_DAY = 50  # of a million codes, of which three hold at a time
DAY = 24 * 3600  # seconds


class BoundedCodeForm:
    """Before the forms of django-allauth that take a code of `self.user`."""

    user: User

    def clean_code(self) -> str:
        guess = _count(self.user)
        if guess is None:
            text = "Too many wrong codes were entered in the last 24 hours. Use a passkey, or try again tomorrow."
            raise ValidationError(text, code="too_many_wrong_codes")
        try:
            code: str = super().clean_code()  # type: ignore[misc]  # of the form beside
        except ValidationError as error:
            if error.code == "incorrect_code":
                _tell_when_all_are_used(self.user)
            else:
                guess.rollback()
            raise
        guess.rollback()
        return code


def _count(user: User, **how: bool) -> Any:
    """Count one; None where there were too many before."""
    rate = {"wrong_code": f"{A_DAY}/d/key"}
    return ratelimit.consume(
        context.request, app="panel", action="wrong_code", config=rate, key=str(user.pk), **how
    )


def _tell_when_all_are_used(user: User) -> None:
    """One mail a day."""
    if _count(user, dry_run=True) is not None or not cache.add(f"wrong_codes_told_{user.pk}", True, DAY):
        return
    with unit_of_work():
        entry = audit.record("factors.guess", by=None, subject=user.email, after={"wrong_codes": A_DAY})
        send_notice("factors.guess", entry.pk)


@notice_kind("factors.guess", template="accounts/emails/factors_guess")
def _mail(entry_id: str) -> tuple[list[str], dict[str, Any]]:
    entry = AuditEntry.objects.filter(pk=entry_id).first()
    if entry is None or not User.objects.filter(email=entry.subject, is_active=True).exists():
        return [], {}
    return [entry.subject], {"entry": entry}
