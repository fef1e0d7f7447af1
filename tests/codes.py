"""What an authenticator app shows."""

import time

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time

from tests.conftest import TOTP_SECRET

PERIOD = 30  # seconds that one code is good for (RFC 6238); the panel takes none of the period before
TO_ENTER = 3  # seconds of that which are left to the test


def code_now(secret: str = TOTP_SECRET) -> str:
    """What it shows now, or in a moment where that would be over before it can be entered."""
    if (left := PERIOD - time.time() % PERIOD) < TO_ENTER:
        time.sleep(left)
    return format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))
