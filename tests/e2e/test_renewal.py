"""A service is renewed: announced, its card declined, sending stopped and nothing else; paid in a browser, all goes on. Then
its plan is changed for a larger one, and staff send a part of that back.
"""

import re
import smtplib
from datetime import timedelta
from secrets import token_hex

import pytest
import requests

from tests.e2e.browser import Browser
from tests.e2e.hosting import Tenant, become_customer
from tests.e2e.mail import Account, arrived, letter, send, send_as_stranger, submission
from tests.e2e.person import Person, mails_to
from tests.e2e.stack import Stack
from tests.e2e.test_pay_by_card import enter
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.timeout(240)
DECLINES_LATER = "4000000000000341"
ANOTHER = "4242424242424242"


OF_CUSTOMER = """WITH mine AS (
    SELECT s.id FROM billing_subscription s JOIN accounts_customer c ON c.id = s.customer_id WHERE c.username = %s
), renewed AS (SELECT r.id FROM billing_renewal r JOIN mine ON mine.id = r.subscription_id)
"""
EARLIER = (
    "UPDATE billing_subscription SET started_at = started_at - %s, next_step_at = now() WHERE id IN (SELECT id FROM mine)",
    "UPDATE billing_renewal SET from_on = (from_on - %s)::date WHERE id IN (SELECT id FROM renewed)",
    "UPDATE billing_renewal SET until_on = (until_on - %s)::date WHERE id IN (SELECT id FROM renewed)",
    "UPDATE billing_renewal SET made_at = made_at - %s WHERE id IN (SELECT id FROM renewed)",
    "UPDATE billing_renewalcharge SET at = at - %s WHERE renewal_id IN (SELECT id FROM renewed)",
    "UPDATE billing_dunningstep SET at = at - %s WHERE renewal_id IN (SELECT id FROM renewed)",
)


def days_pass(tenant: Tenant, days: int) -> None:
    """As if all that was done for this customer had been done so many days earlier."""
    for statement in reversed(EARLIER):
        tenant.stack.rows(OF_CUSTOMER + statement, tenant.username, timedelta(days=days))


def add_card(tenant: Tenant, number: str) -> None:
    answer = tenant.person.post(f"/c/{tenant.username}/billing/cards/add/")
    assert answer.status_code == 302, answer.text
    card = {"email": "r@people.test", "name": "R", "number": number, "expiry": "12 / 40", "cvc": "123"}
    saved = requests.post(answer.headers["Location"], data=card, allow_redirects=False, timeout=10)
    assert saved.status_code == 303, saved.text
    tenant.person.get(f"/c/{tenant.username}/billing/cards/added/")


def may_send(account: Account, recipient: str) -> bool:
    with submission(account) as client:
        try:
            client.send_message(letter(account.address, recipient), account.address, [recipient])
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError):
            return False
    return True


def test_a_service_is_renewed(stack: Stack, staff: Person, browser: Browser) -> None:
    address, password = f"rhea-{token_hex(4)}@people.test", f"renews-{token_hex(8)}"
    tenant = become_customer(stack, staff, password=password, address=address)
    billing, name = f"/c/{tenant.username}/billing/", f"renewed-{token_hex(4)}.test"
    tenant.add_domain(name)
    rhea = tenant.add_mailbox(name, "rhea")
    send(rhea, rhea.address)
    add_card(tenant, DECLINES_LATER)

    days_pass(tenant, 359)
    eventually(lambda: "Renewal to be paid" in tenant.person.get(billing).text, 30)
    invoice = newest_invoice(tenant)
    days_pass(tenant, 7)
    eventually(lambda: "declined" in tenant.person.get(invoice).text, 30)
    assert may_send(rhea, rhea.address)

    days_pass(tenant, 7)
    eventually(lambda: told(stack, address, "Sending stops on"), 40)
    days_pass(tenant, 4)
    eventually(lambda: told(stack, address, "Sending is stopped"), 40)
    eventually(lambda: not may_send(rhea, rhea.address), 20)
    arrived(rhea, send_as_stranger(rhea.server, rhea.address))

    browser.sign_in(address, password)
    browser.open(billing)
    browser.picture("stopped")
    assert "Sending is stopped since" in browser.text
    assert not browser.complaints()
    browser.press("Pay by card")
    enter(browser, ANOTHER)
    assert browser.path == invoice, browser.text
    assert "your payment is in" in browser.text
    browser.picture("paid")
    eventually(lambda: may_send(rhea, rhea.address), 20)
    assert not [each for each in browser.complaints() if "status of 402" not in each]
    eventually(lambda: told(stack, address, "Visa 4242"), 30)

    browser.open(f"{billing}plan/")
    assert not browser.complaints()
    browser.picture("plans")
    browser.open(f"{billing}plan/to/25gb/")
    browser.picture("change of plan")
    browser.press("Change the plan")
    difference = newest_invoice(tenant)
    assert browser.path == difference, browser.text
    eventually(lambda: "declined" in tenant.person.get(difference).text, 30)
    assert "10 GB" in tenant.person.get(billing).text
    browser.open(difference)
    browser.press("Pay by card")
    enter(browser, ANOTHER)
    assert browser.path == difference, browser.text
    browser.open(billing)
    assert "25 GB" in browser.text
    browser.picture("changed")
    assert not [each for each in browser.complaints() if "status of 402" not in each]

    give_back(staff, difference.split("/")[-2], "1.00", "A present of ours")
    eventually(lambda: told(stack, address, "A present of ours"), 30)
    eventually(lambda: "A present of ours" in tenant.person.get(difference).text, 20)
    assert may_send(rhea, rhea.address)


def give_back(staff: Person, invoice: str, amount: str, reason: str) -> None:
    """As staff: a part of what paid this invoice, to its card."""
    path = f"/admin/invoices/{invoice}/refund/"
    page = staff.get(path).text
    way = re.findall(r'<option value="([0-9a-f-]{36})"', page)[0]
    submission = re.findall(r'name="submission" value="([^"]+)"', page)[0]
    staff.sends(path, way=way, amount=amount, reason=reason, reference="", submission=submission)


def newest_invoice(tenant: Tenant) -> str:
    """The path of its page."""
    page = tenant.person.get(f"/c/{tenant.username}/billing/invoices/").text
    return re.findall(r'href="(/c/[a-z0-9_]+/billing/invoices/INV-[^"]+/)"', page)[0]


def told(stack: Stack, address: str, words: str) -> bool:
    return any(words in text for text in mails_to(stack, address))
