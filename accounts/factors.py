"""What proves a person beside the password: an authenticator app or a passkey. Recovery codes stand in for either."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY, get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from django.http import HttpResponseBase

from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models import User

WANTED_BY = "factor_wanted_by"  # in the session: the page that opens only with a second factor
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def has_factor(user: "User") -> bool:
    """Whether this person can be asked for a second factor."""
    return Authenticator.objects.filter(user_id=user.pk, type__in=FACTORS).exists()


def factors_of(user: "User") -> dict[int, str]:
    """What this person has, in words, by its id."""
    return {each.pk: _in_words(each) for each in Authenticator.objects.filter(user_id=user.pk).order_by("pk")}


def unused_recovery_codes(user: "User") -> list[str] | None:
    """None where none were made."""
    made = Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES).first()
    return made.wrap().get_unused_codes() if made else None


def show_recovery_codes(user: "User") -> list[str] | None:
    """The codes, once; after that an empty list, and None where none were made."""
    with unit_of_work():
        codes = Authenticator.objects.select_for_update().filter(
            user_id=user.pk, type=Authenticator.Type.RECOVERY_CODES
        )
        made = codes.first()
        if made is None or made.wrap().did_view:
            return None if made is None else []
        made.wrap().mark_as_viewed()
        return unused_recovery_codes(user)


def factor_page(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A page of allauth that changes factors, in one transaction with what such a change entails: the audit entry,
    the mail that is owed, the end of the other sessions.
    """

    @wraps(view)
    def page(request: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST" or request.user.is_anonymous:
            return view(request, **kwargs)
        request.form_on = request.path
        with unit_of_work():
            before = factors_of(request.user)
            answer = view(request, **kwargs)
            _note_change(request, before)
        return answer

    return page


def _note_change(request: Any, before: dict[int, str]) -> None:
    from accounts import account_changes, audit, devices

    after = factors_of(request.user)
    if after.keys() == before.keys() and after != before:
        audit.record(
            "factors.rename",
            by=request.user,
            subject=request.user.email,
            before={"factors": list(before.values())},
            after={"factors": list(after.values())},
        )
    added = [words for pk, words in after.items() if pk not in before]
    removed = [words for pk, words in before.items() if pk not in after]
    if not added and not removed:
        return
    if Authenticator.objects.filter(pk__in=after.keys() - before.keys(), type__in=FACTORS).exists():
        # Setting it up took the thing itself, which proves as much as signing in with it.
        record_authentication(request, request.user, "mfa", reauthenticated=True)
    elif not has_factor(request.user):
        _forget_proof(request)
    parts = [f"{words} added" for words in added] + [f"{words} removed" for words in removed]
    account_changes.tell("factors.change", request.user, request=request, change=", ".join(parts))
    devices.end_all(request.user, but=request.session.session_key)


def _forget_proof(request: Any) -> None:
    """This session was signed in with a second factor that is no more."""
    records = get_authentication_records(request, request.user)
    request.session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        record for record in records if record["method"] != "mfa"
    ]


def _in_words(authenticator: Authenticator) -> str:
    if authenticator.type == Authenticator.Type.WEBAUTHN:
        return f"passkey “{authenticator.data['name']}”"
    return "authenticator app" if authenticator.type == Authenticator.Type.TOTP else "recovery codes"
