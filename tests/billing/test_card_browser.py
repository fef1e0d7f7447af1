"""Cards in a browser, with and without JavaScript: added on Stripe's page, made the default, removed."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as project

from accounts.models import Customer, User
from tests.billing.stripe_desk import StripeDesk
from tests.e2e.browser import Browser

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.timeout(240)]
CARDS = "/c/acme/billing/cards/"


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def browser(
    request: pytest.FixtureRequest, live_server: Any, tmp_path: Path, as_: Any, alice: User, acme: Customer,
    settings: Any, quiet_broker: None,
) -> Iterator[Browser]:  # fmt: skip
    """In which alice is signed in."""
    settings.PANEL_URL = live_server.url
    stack: Any = SimpleNamespace(panel=live_server.url)
    opened = Browser(stack, tmp_path, "cards", javascript=request.param)
    opened.open("/healthz")
    cookie = as_(alice).cookies[project.SESSION_COOKIE_NAME]
    opened.take_cookies([{"name": cookie.key, "value": cookie.value}])
    opened.complaints()  # about what that page lacks
    yield opened
    opened.close()


def save(browser: Browser, number: str) -> None:
    """Fill in the page at Stripe and send it."""
    assert browser.path.startswith("/c/pay/"), browser.text
    browser.fill(number=number, expiry="12 / 40", cvc="123", name="Alice Acme")
    browser.press("Save card")


def test_add_choose_and_remove(stripe: StripeDesk, browser: Browser, acme: Customer) -> None:
    browser.open(CARDS)
    assert "No cards yet" in browser.text
    browser.press("Add the first card")
    save(browser, "4000000000000002")
    assert "Your card was declined." in browser.text
    save(browser, "4000002500003155")
    browser.press("Complete")
    assert browser.path == CARDS, browser.text
    assert "Visa 3155 is saved." in browser.text
    browser.press("Add a card")
    save(browser, "5555555555554444")
    assert "Mastercard ending in 4444" in browser.text
    browser.picture("two cards")
    browser.press("Make default")
    assert "Renewals are charged to Mastercard 4444 from now on." in browser.text
    browser.click("Remove")
    assert "Renewals are charged to Visa ending in 3155 instead." in browser.text
    browser.press("Remove the card")
    assert browser.path == CARDS
    assert "Mastercard 4444 is removed. Nothing is charged to it any more." in browser.text
    [card] = acme.cards.filter(removed_at=None)
    assert (str(card), card.is_default) == ("Visa 3155", True)
    expected = ("status of 402", "/favicon.ico")  # of the declined card, and of a page that is no page
    complaints = [each for each in browser.complaints() if not any(word in each for word in expected)]
    assert not complaints, complaints
