"""Passwords of mailboxes: what is accepted, and the hash that Dovecot reads."""

import re
import unicodedata

from argon2 import PasswordHasher, Type
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError

LEAST, MOST = 8, 128
READY_HASH = re.compile(
    r"\{ARGON2ID\}\$argon2id\$v=19\$m=(\d{1,6}),t=(\d{1,2}),p=([1-4])\$[A-Za-z0-9+/]{8,90}\$[A-Za-z0-9+/]{16,90}"
)

# OWASP's second choice for argon2id (19 MiB, 2 passes, 1 lane): 64 sign-ins a second on two cores.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
_common = CommonPasswordValidator()


def normalise(password: str) -> str:
    """The NFC form of an acceptable password; ValidationError for one that is not."""
    password = unicodedata.normalize("NFC", password)
    if not LEAST <= len(password) <= MOST:
        raise ValidationError(f"Choose a password of {LEAST} to {MOST} characters.", code="password_length")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in password):
        raise ValidationError(
            "Mail programs cannot send control characters such as line breaks. Choose another password.",
            code="password_characters",
        )
    try:
        _common.validate(password)
    except ValidationError as error:
        raise ValidationError(
            "This password is on the lists that attackers try first. Choose another.", code="password_common"
        ) from error
    return password


def hash_password(password: str) -> str:
    """`{ARGON2ID}` and the hash of an acceptable password. Takes some 30 ms: never inside a transaction."""
    return "{ARGON2ID}" + _hasher.hash(normalise(password))


def accept_hash(ready: str) -> str:
    """A ready hash as it is; ValidationError for another scheme, or one that costs a mail server too much to
    check.
    """
    match = READY_HASH.fullmatch(ready)
    if not match or int(match[1]) > 64 * 1024 or int(match[2]) > 4:
        raise ValidationError("Only {ARGON2ID} hashes of at most 64 MiB and 4 passes are taken.", code="hash")
    return ready
