"""Passwords of mailboxes: what is accepted, and the hash that Dovecot reads."""

import re
import unicodedata

import msgspec
from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError

from mailnode.wire import PasswordHash

LEAST, MOST = 8, 128
_CRYPT_SALT = r"[./0-9A-Za-z]{1,16}"
# Ready hashes by their scheme, each as Dovecot verifies it; a group is a cost, capped in COSTS.
READY_HASHES = {
    scheme: re.compile(pattern, re.ASCII)  # the digits of other scripts are none to Dovecot
    for scheme, pattern in {
        "ARGON2ID": (
            r"\$argon2id\$v=19\$m=(\d{1,6}),t=(\d{1,2}),p=([1-4])"
            r"\$[A-Za-z0-9+/]{8,90}\$[A-Za-z0-9+/]{16,90}"
        ),
        "BLF-CRYPT": r"\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}",
        "SHA512-CRYPT": rf"\$6\$(?:rounds=([1-9]\d{{3,6}})\$)?{_CRYPT_SALT}\$[./0-9A-Za-z]{{86}}",
        "SHA256-CRYPT": rf"\$5\$(?:rounds=([1-9]\d{{3,6}})\$)?{_CRYPT_SALT}\$[./0-9A-Za-z]{{43}}",
    }.items()
}
COSTS = {  # each about a quarter of a second of the mail server's time, or 64 MiB, at most
    "ARGON2ID": (64 * 1024, 4, 4),
    "BLF-CRYPT": (12,),
    "SHA512-CRYPT": (200_000,),
    "SHA256-CRYPT": (200_000,),
}
SCHEME = re.compile(r"\{([A-Za-z0-9.-]{1,32})\}")

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


def is_ours(ready: str) -> bool:
    """Whether a hash costs what `hash_password` spends; what others made may cost a hundred times as much."""
    cost = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return ready.startswith(f"{{ARGON2ID}}$argon2id$v=19${cost}$")


def verifies(password: str, ready: str) -> bool:
    """Whether an acceptable password belongs to this hash; false also for all hashes that are not like ours, which
    take a new hash of the same password instead. As slow as `hash_password`.
    """
    if not is_ours(ready):
        return False
    try:
        return _hasher.verify(ready.removeprefix("{ARGON2ID}"), password)
    except (Argon2Error, ValueError):  # another password; a hash that is none
        return False


def accept_hash(ready: str) -> str:
    """A ready hash as it is; ValidationError for another scheme, or one that costs a mail server too much to
    check.
    """
    scheme = SCHEME.match(ready)
    name = scheme[1] if scheme else ""
    if scheme is None or name not in READY_HASHES:
        known = ", ".join(f"{{{known}}}" for known in READY_HASHES)
        raise ValidationError(f"Ready hashes begin with one of {known}.", code="hash")
    match = READY_HASHES[name].fullmatch(ready, scheme.end())
    if match is None:
        raise ValidationError(f"This is no complete {{{name}}} hash.", code="hash")
    if any(int(cost or 0) > most for cost, most in zip(match.groups(), COSTS[name], strict=True)):
        raise ValidationError(
            f"This {{{name}}} hash costs a mail server too much to check; at most {_costs(name)}.",
            code="hash",
        )
    try:
        return msgspec.convert(ready, PasswordHash)
    except msgspec.ValidationError as error:  # it would hold up its mail server
        raise ValidationError(f"This is no complete {{{name}}} hash.", code="hash") from error


def _costs(scheme: str) -> str:
    most = COSTS[scheme]
    if scheme == "ARGON2ID":
        return f"{most[0] // 1024} MiB, {most[1]} passes and {most[2]} lanes"
    return f"2^{most[0]} rounds" if scheme == "BLF-CRYPT" else f"{most[0]} rounds"
