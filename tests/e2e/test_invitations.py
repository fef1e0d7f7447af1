"""Two kinds of invitation in the browser: the owner of a mailbox sets its password, and a reader joins a customer."""

import imaplib
from secrets import token_hex

import pytest

from tests.e2e.browser import Browser
from tests.e2e.hosting import Tenant
from tests.e2e.mail import Account, arrived, imap_session, send
from tests.e2e.person import Person, confirmation_link, mailed_link, mails_to
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.timeout(120)


def test_the_owner_of_a_mailbox_sets_its_password(
    stack: Stack, browser: Browser, acme: Tenant, anna: Account
) -> None:
    username, home, password = f"otto-{token_hex(4)}", f"otto-{token_hex(4)}@home.test", f"own-{token_hex(8)}"
    account = Account(stack, f"{username}@acme.test", password, acme.server)
    with browser.somebody_else("the owner of acme"):
        owner = stack.sign_in("customer")
        browser.sign_in(owner["email"], owner["password"])
        browser.open(acme.page("acme.test", "mailboxes", "add"))
        browser.fill(username=username, invite=home, name="Otto Owner", quota_mb="100")
        browser.press("Add mailbox")
        browser.wait_for("[data-live=true]")
        assert browser.one("[data-invitation]").get_attribute("data-invitation") == "open"
        assert "Nobody can sign in yet" in browser.text
        browser.picture("invited")
    early = send(anna, account.address)

    link = mailed_link(stack, home, "/mailbox/password/")
    browser.open(link)
    browser.picture("password")
    browser.fill(password=password)
    browser.press("Set the password")
    assert f"{account.address} is yours" in browser.text
    assert acme.server.name in browser.text
    browser.picture("ready")
    eventually(lambda: can_sign_in(account), 20)
    assert arrived(account, early), "mail from before the password is not there"
    assert arrived(anna, send(account, anna.address))
    assert browser.complaints() == []

    browser.open(link)
    assert "does not work any more" in browser.text
    with browser.somebody_else("the owner of acme"):
        browser.open(acme.mailbox_page(account))
        assert not browser.driver.find_elements("css selector", "[data-invitation]")
        assert password not in browser.driver.page_source
    assert not any(password in text for text in mails_to(stack, home))
    query = "SELECT password_hash FROM domains_mailbox WHERE local_part = %s"
    ((kept,),) = stack.rows(query, username)
    assert kept.startswith("{ARGON2ID}")


def can_sign_in(account: Account) -> bool:
    try:
        imap_session(account).logout()
    except imaplib.IMAP4.error:
        return False
    return True


def test_a_reader_joins_sees_and_changes_nothing(stack: Stack, browser: Browser, acme: Tenant) -> None:
    address, password = f"rhea-{token_hex(4)}@people.test", f"reads-{token_hex(8)}"
    with browser.somebody_else("the owner of acme"):
        owner = stack.sign_in("customer")
        browser.sign_in(owner["email"], owner["password"])
        browser.open("/c/acme/members/")
        browser.click("Invite somebody")
        browser.fill(email=address, role="reader")
        browser.press("Send the invitation")
        assert f"{address} is invited" in browser.text
        browser.picture("members")

    browser.open(mailed_link(stack, address, "/invitations/"))
    browser.picture("invitation")
    browser.click("Create an account")
    assert browser.one("[name=email]").get_attribute("value") == address
    browser.fill(password1=password, password2=password)
    browser.press("Create account")
    browser.open(confirmation_link(stack, address))
    browser.press("Confirm this address")
    browser.press("Accept")
    assert browser.path == "/c/acme/"
    assert_only_reads(browser)
    assert browser.complaints() == []

    person = Person(stack)
    person.sign_in(address, password)
    before = stack.rows(AS_IT_IS)
    for path, fields in CHANGES.items():
        reply = person.post(f"/c/acme/{path}", **fields)
        assert reply.status_code == 403, path
    assert stack.rows(AS_IT_IS) == before


AS_IT_IS = """SELECT (SELECT count(*) FROM accounts_membership m JOIN accounts_customer c ON c.id = customer_id
    WHERE c.username = 'acme'), d.deleted_at, m.local_part, m.name, m.quota_mb, m.deleted_at
    FROM domains_mailbox m JOIN domains_domain d ON d.id = m.domain_id WHERE d.name = 'acme.test' ORDER BY 3"""
PAGES = ("", "domains/", "domains/acme.test/", "domains/acme.test/mailboxes/", "members/", "audit/",
         "domains/acme.test/mailboxes/anna/")  # fmt: skip
CHANGES: dict[str, dict[str, object]] = {
    "domains/add/": {"domain": "reader.test"},
    "domains/acme.test/delete/": {"confirm": "acme.test"},
    "domains/acme.test/mailboxes/add/": {"username": "reader", "password": "reads-only-7391", "quota_mb": 1},
    "domains/acme.test/mailboxes/anna/change/": {"name": "Read Only", "quota_mb": 1},
    "domains/acme.test/mailboxes/anna/password/": {"password": "reads-only-7391"},
    "domains/acme.test/mailboxes/anna/suspend/": {},
    "domains/acme.test/mailboxes/anna/invite/": {"invite": "reader@home.test"},
    "domains/acme.test/mailboxes/anna/delete/": {},
    "domains/acme.test/imports/add/": {},
    "members/invite/": {"email": "more@people.test", "role": "owner"},
}


def assert_only_reads(browser: Browser) -> None:
    """No page offers a change: what can be pressed there only searches, checks or leaves."""
    for path in PAGES:
        browser.open(f"/c/acme/{path}")
        assert "acme" in browser.text, path
        assert browser.one("h1"), path
        buttons = {button.text for button in browser.driver.find_elements("css selector", "main button")}
        offered = {link.text for link in browser.driver.find_elements("css selector", "main a.button")}
        assert buttons | offered <= HARMLESS, f"{path}: {sorted((buttons | offered) - HARMLESS)}"
    browser.picture("a-reader-s-mailbox")


HARMLESS = {"Search", "Show", "Copy", "Leave", "Mailboxes", "Check now", "Export", "Download as CSV", ""}
