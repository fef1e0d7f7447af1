"""How long things last between us and Stripe, for whoever asks it; and whether it is asked at all."""

from datetime import timedelta

from django.conf import settings

LEASE = timedelta(seconds=30)  # the deadlines of the calls of one look, and room
UNANSWERED = timedelta(
    days=1
)  # after which a page of which Stripe never told us is given up: its key is forgotten
KEY_HOLDS = timedelta(hours=23)  # Stripe knows a key for 24: asked after that, it would make a second page
SKEW = timedelta(minutes=10)  # at most, between our clock and Stripe's


def is_on() -> bool:
    """Whether this installation has a key of Stripe; without one staff record payments."""
    return bool(settings.STRIPE_SECRET_KEY)
