"""A customer pays by card: at the hosted page in a browser, and with a tab that is closed before it comes back."""

import re
from secrets import token_hex

import pytest
import requests

from tests.e2e.browser import Browser
from tests.e2e.hosting import order_unpaid, review_of, status_of
from tests.e2e.person import Person, mails_to
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.timeout(180)


def test_somebody_pays_by_card(stack: Stack, staff: Person, browser: Browser) -> None:
    address, password = f"paula-{token_hex(4)}@people.test", f"pays-{token_hex(8)}"
    _, order = order_unpaid(stack, staff, password=password, address=address)
    browser.sign_in(address, password)
    browser.open(order)
    browser.picture("unpaid")
    assert not browser.complaints()
    browser.press("Pay by card")
    assert browser.path.startswith("/c/pay/"), browser.text
    enter(browser, "4000000000000002")
    assert "Your card was declined." in browser.text
    enter(browser, "4000002760003184")
    browser.press("Complete")
    assert browser.path == order, browser.text
    assert browser.one("[data-status]").get_attribute("data-status") == "active"
    assert "your payment is in" in browser.text
    assert "Visa 3184" in browser.text
    browser.picture("active")
    complaints = [
        each for each in browser.complaints() if "status of 402" not in each
    ]  # of the declined card
    assert not complaints, complaints
    eventually(lambda: any("is active" in text for text in mails_to(stack, address)), 20)
    assert "By card at Stripe: Visa 3184. pi_" in staff.get(review_of(order)).text


def enter(browser: Browser, number: str) -> None:
    """Fill in the page at Stripe and send it."""
    browser.fill(number=number, expiry="12 / 40", cvc="123", name="Paula Payer")
    browser.press("Pay")


def test_the_tab_is_closed(stack: Stack, staff: Person) -> None:
    """Nobody comes back, and the webhook says it."""
    person, order = order_unpaid(stack, staff)
    person.get(order)
    answer = person.post(f"{order}pay/")
    assert answer.status_code == 302, answer.text
    fields = {
        "email": "p@people.test",
        "name": "P",
        "number": "4242424242424242",
        "expiry": "12 / 40",
        "cvc": "123",
    }
    paid = requests.post(answer.headers["Location"], data=fields, allow_redirects=False, timeout=10)
    assert paid.status_code == 303, paid.text
    eventually(lambda: status_of(person.get(order).text) == "active", 20)
    [customer] = set(re.findall(r'href="(/c/[a-z0-9_]+/)orders/', person.get(order).text))
    [invoice] = set(
        re.findall(rf'href="({customer}billing/invoices/INV-[^"]+)"', person.get(f"{customer}billing/").text)
    )
    assert 'data-status="paid"' in person.get(invoice).text
    assert person.get(f"{invoice}pdf/").content.startswith(b"%PDF-")
