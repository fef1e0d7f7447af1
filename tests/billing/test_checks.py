"""What `check --deploy` says about Stripe."""

from typing import Any

import pytest

from billing.checks import stripe_is_whole


@pytest.mark.parametrize(
    ("key", "secret", "base", "said"),
    [
        ("", "", "http://127.0.0.1:1", []),
        ("sk_test_1", "whsec_1", "http://127.0.0.1:1", []),
        ("sk_test_1", "", "https://api.stripe.com", ["billing.W001"]),
        ("sk_live_1", "whsec_1", "http://api.stripe.com", ["billing.W002"]),
        ("rk_live_1", "", "http://api.stripe.com", ["billing.W001", "billing.W002"]),
        ("sk_live_1", "whsec_1", "https://api.stripe.com", []),
    ],
)
def test_stripe_is_whole(settings: Any, key: str, secret: str, base: str, said: list[str]) -> None:
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = key, secret
    settings.STRIPE_API_BASE = base
    assert [message.id for message in stripe_is_whole()] == said
