"""A second factor in a real browser: a passkey is added with a touch, and from then on is all that signing in takes."""

from collections.abc import Iterator
from secrets import token_hex

import pytest
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions

from tests.e2e.browser import Browser
from tests.e2e.person import Person, fresh_code
from tests.e2e.stack import Stack

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def plain_browser(stack: Stack) -> Iterator[Browser]:
    """Chromium without JavaScript."""
    pictures = stack.artifacts / "second-factor"
    pictures.mkdir(parents=True, exist_ok=True)
    found = Browser(stack, pictures, "factor-without-javascript", javascript=False)
    yield found
    found.close()


@pytest.fixture
def browser(stack: Stack) -> Iterator[Browser]:
    """Chromium with a passkey of its own, which says yes to everything."""
    pictures = stack.artifacts / "second-factor"
    pictures.mkdir(parents=True, exist_ok=True)
    found = Browser(stack, pictures, "factor", javascript=True)
    options = VirtualAuthenticatorOptions(
        has_resident_key=True, has_user_verification=True, is_user_verified=True, transport="internal"
    )
    try:
        found.driver.add_virtual_authenticator(options)
        yield found
    finally:
        found.close()


def test_a_passkey_is_all_that_signing_in_takes(stack: Stack, browser: Browser) -> None:
    address, password = f"pia-{token_hex(4)}@people.test", f"keys-{token_hex(8)}"
    Person(stack).sign_up(address, password)
    browser.sign_in(address, password)
    browser.open("/accounts/2fa/")
    browser.picture("none")
    browser.click("Add a passkey")
    browser.fill(name="Laptop")
    browser.picture("add")
    browser.press("Add the passkey")
    assert browser.path == "/accounts/2fa/recovery-codes/"
    browser.picture("recovery-codes")
    browser.click("I have them, go on")
    assert "Laptop" in browser.text
    browser.picture("laptop")
    browser.click("Devices")
    assert "Chrome on Linux" in browser.text
    browser.picture("devices")
    sign_out(browser)
    browser.open("/accounts/login/")
    browser.picture("sign-in")
    browser.press("Sign in with a passkey")
    assert browser.path == "/accounts/home/"
    sign_out(browser)
    browser.sign_in(address, password)
    assert browser.path == "/accounts/2fa/authenticate/"
    browser.picture("second-step")
    browser.press("Use your passkey")
    assert browser.path == "/accounts/home/"
    assert browser.complaints() == []


def test_a_passkey_that_is_not_confirmed_is_told_in_words(stack: Stack, browser: Browser) -> None:
    browser.driver.set_user_verified(False)
    browser.open("/accounts/login/")
    browser.one("[data-passkey-button]").click()
    browser.wait_for("[data-passkey-error]:not([hidden])")
    assert "was not confirmed" in browser.text


def test_an_authenticator_app_is_set_up_and_used_without_javascript(
    stack: Stack, plain_browser: Browser
) -> None:
    browser = plain_browser
    address, password = f"tom-{token_hex(4)}@people.test", f"codes-{token_hex(8)}"
    Person(stack).sign_up(address, password)
    browser.sign_in(address, password)
    browser.open("/accounts/2fa/webauthn/add/")
    assert "Passkeys need JavaScript" in browser.text
    browser.open("/accounts/2fa/")
    browser.click("Set it up")
    browser.picture("app")
    secret = browser.one("main .copy code").text
    browser.fill(code=fresh_code(secret))
    browser.press("Turn it on")
    assert browser.path == "/accounts/2fa/recovery-codes/"
    recovery_code = browser.one("#recovery_codes").text.split()[0]
    sign_out(browser)
    browser.sign_in(address, password)
    browser.fill(code=recovery_code)
    browser.press("Sign in")
    assert browser.path == "/accounts/home/"
    browser.open("/accounts/2fa/")
    assert "9 of 10 are left" in browser.text
    sign_out(browser)
    browser.sign_in(address, password)
    browser.fill(code=recovery_code)
    browser.press("Sign in")
    assert browser.path == "/accounts/2fa/authenticate/", "a recovery code works twice"
    browser.fill(code=fresh_code(secret))
    browser.press("Sign in")
    assert browser.path == "/accounts/home/"


def sign_out(browser: Browser) -> None:
    browser.open("/accounts/logout/")
    browser.press("Sign out")
