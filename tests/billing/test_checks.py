"""What the checks of Django say about Stripe, tax and PDF."""

import builtins
from typing import Any

import pytest

from billing.checks import (
    days_are_in_order,
    invoices_can_be_drawn,
    seller_is_known,
    stripe_is_whole,
    tax_is_whole,
    vies_is_asked_over_tls,
)


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
        (True, "DE", "", ["billing.W004"]),
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


@pytest.mark.parametrize(
    ("vies", "panel", "url", "said"),
    [
        (True, "https://panel.example", "http://ec.europa.eu/rest-api", ["billing.W006"]),
        (True, "https://panel.example", "https://ec.europa.eu/rest-api", []),
        (True, "http://localhost:8000", "http://127.0.0.1:1/rest-api", []),
        (False, "https://panel.example", "http://ec.europa.eu/rest-api", []),
    ],
)
def test_vies_is_asked_over_tls(settings: Any, vies: bool, panel: str, url: str, said: list[str]) -> None:
    settings.VIES, settings.PANEL_URL, settings.VIES_URL = vies, panel, url
    assert [message.id for message in vies_is_asked_over_tls()] == said


def test_invoices_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoices_can_be_drawn() == []
    really = builtins.__import__

    def lacks(name: str, *args: Any, **more: Any) -> Any:
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0'")
        return really(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", lacks)
    (message,) = invoices_can_be_drawn()
    assert message.id == "billing.W005"
    assert "libpango" in message.msg


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"RENEWAL_RETRY_DAYS": []}, []),
        ({"RENEWAL_RETRY_DAYS": [1, 3, 3]}, ["billing.E006"]),
        ({"RENEWAL_RETRY_DAYS": [3, 1]}, ["billing.E006"]),
        ({"RENEWAL_RETRY_DAYS": [0, 1]}, ["billing.E006"]),
        ({"RENEWAL_AHEAD_MONTHLY": 28}, ["billing.E005"]),
        ({"RENEWAL_AHEAD_YEARLY": 0}, ["billing.E005"]),
        ({"DUNNING_NOTICE_DAYS": 0}, ["billing.E005"]),
        ({"DUNNING_NOTICE_DAYS": 10}, ["billing.E007"]),
        ({"DUNNING_STOP_SENDING_DAYS": 24}, ["billing.E007"]),
        ({"DUNNING_STOP_RECEIVING_DAYS": -1}, ["billing.E005", "billing.E007"]),
        ({"DUNNING_HAND_OVER_DAYS": 24}, ["billing.E007"]),
        ({"CHANGE_DUE_DAYS": -1}, ["billing.E005"]),
        ({"SERVICE_KEPT_DAYS": 10_000_000}, ["billing.E005"]),
    ],
)
def test_days_are_in_order(settings: Any, changed: dict[str, Any], said: list[str]) -> None:
    for name, days in changed.items():
        setattr(settings, name, days)
    assert [message.id for message in days_are_in_order()] == said
