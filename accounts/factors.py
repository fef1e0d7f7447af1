"""What proves a person beside the password: an authenticator app or a passkey. Recovery codes stand in for either."""

from typing import TYPE_CHECKING

from allauth.mfa.models import Authenticator

if TYPE_CHECKING:
    from accounts.models import User

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def has_factor(user: "User") -> bool:
    """Whether this person can be asked for a second factor."""
    return Authenticator.objects.filter(user_id=user.pk, type__in=FACTORS).exists()
