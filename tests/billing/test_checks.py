"""What the checks of Django say about Stripe and tax."""

from typing import Any

import pytest

from billing.checks import seller_is_known, stripe_is_whole, tax_is_whole


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


@pytest.mark.parametrize(
    ("tax", "country", "vat_id", "said"),
    [
        (False, "", "", []),
        (False, "XX", "", ["billing.E003"]),
        (True, "", "DE136695976", ["billing.E002"]),
        (True, "DE", "", ["billing.W003"]),
        (True, "DE", "DE136695977", ["billing.E004"]),
        (True, "DE", "DE136695976", []),
        (True, "CH", "CHE-123.456.788 MWST", []),
    ],
)
def test_tax_needs_to_know_who_sells(
    settings: Any, tax: bool, country: str, vat_id: str, said: list[str]
) -> None:
    settings.TAX, settings.SELLER_COUNTRY, settings.SELLER_VAT_ID = tax, country, vat_id
    assert [message.id for message in [*seller_is_known(), *tax_is_whole()]] == said
