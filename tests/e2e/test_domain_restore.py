"""A domain is removed in the browser and comes back with its mail."""

from collections.abc import Callable

import pytest

from tests.e2e.browser import Browser
from tests.e2e.hosting import Tenant
from tests.e2e.mail import Account, arrived, imap_session, send, send_as_stranger, stranger
from tests.e2e.stack import Stack
from tests.e2e.test_sessions_end import can_sign_in, cannot_sign_in, has_ended
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.timeout(120)


def test_it_is_removed_by_its_name_and_comes_back_with_its_mail(
    stack: Stack, browser: Browser, acme: Tenant, anna: Account, new_name: Callable[[str], str]
) -> None:
    name = new_name("shut") + ".test"
    acme.add_domain(name)
    account = acme.add_mailbox(name, "info")
    before = send(anna, account.address)
    arrived(account, before)
    session = imap_session(account)
    owner = stack.sign_in("customer")
    browser.sign_in(owner["email"], owner["password"])

    browser.open(acme.page(name))
    browser.click("Delete this domain…")
    browser.picture("delete")
    browser.fill(confirm="acme.test")
    browser.press("Delete the domain")
    assert browser.path == acme.page(name, "delete")
    assert not has_ended(session), "a wrong name has deleted it"
    browser.fill(confirm=name)
    browser.press("Delete the domain")
    eventually(lambda: has_ended(session), 20)
    assert cannot_sign_in(account)
    assert 550 <= rcpt(account) <= 554, "mail for it is not refused"

    browser.open(acme.page(name))
    assert "this domain was deleted" in browser.text.lower()
    browser.picture("deleted")
    browser.press("Restore it")
    acme.wait_live(acme.mailbox_page(account))
    eventually(lambda: can_sign_in(account), 20)
    assert arrived(account, before), "the mail of before is gone"
    assert arrived(account, send_as_stranger(account.server, account.address))
    assert arrived(anna, send(account, anna.address))
    assert browser.complaints() == []


def rcpt(account: Account) -> int:
    """What another mail server is told about this address."""
    with stranger(account.server) as client:
        client.mail("someone@elsewhere.test")
        return int(client.rcpt(account.address)[0])
