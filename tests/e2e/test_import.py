"""A file of 500 mailboxes in the browser: what it would change, how far it is, and that they are there."""

import csv
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

import pytest

from tests.e2e.browser import Browser
from tests.e2e.hosting import Tenant, status_of
from tests.e2e.mail import Account, arrived, send_as_stranger, stranger
from tests.e2e.stack import Stack
from tests.mailnode.server import password_hash

pytestmark = pytest.mark.timeout(120)

MAILBOXES = 500
IN_CLEAR = 20  # of them, whose passwords are hashed here; the others come with a hash, as from another server


@pytest.fixture
def domain(acme: Tenant, new_name: Callable[[str], str]) -> str:
    name = new_name("many") + ".test"
    acme.add_domain(name)
    return name


def test_a_file_of_500(stack: Stack, browser: Browser, acme: Tenant, domain: str, tmp_path: Path) -> None:
    secret = f"ready-{token_hex(8)}"
    ready, path = password_hash(secret), tmp_path / "mailboxes.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["username", "name", "quota_mb", "password"])
        for number in range(MAILBOXES):
            password = f"clear-{number}-{secret}" if number < IN_CLEAR else ready
            writer.writerow([f"user{number}", f"Number {number}", 10, password])
    owner = stack.sign_in("customer")
    browser.sign_in(owner["email"], owner["password"])

    upload(browser, acme.page(domain, "imports", "add"), path)
    browser.wait_for("[data-status=ready]")
    assert figures(browser) == {"New": "500", "Changed": "0", "Unchanged": "0", "Refused": "0"}
    assert f"user0@{domain}" in browser.text
    assert not mailboxes(stack, domain), "the dry run has changed something"
    browser.picture("what-would-change")

    browser.press("Import them")
    page = browser.driver.page_source  # at one moment: it goes on by itself
    status = status_of(page)
    assert status in ("importing", "done"), browser.text
    if status == "importing":
        assert "Lines done" in page
        browser.picture("progress")
    browser.wait_for("[data-status=done]")
    browser.wait_for("[data-live=true]")
    assert "500 of 500 lines done" in browser.text
    browser.picture("done")
    assert mailboxes(stack, domain) == MAILBOXES
    with stranger(acme.server) as client:
        client.mail("someone@elsewhere.test")
        for number in (0, 250, 499):
            assert client.rcpt(f"user{number}@{domain}")[0] == 250
    for number, password in ((0, f"clear-0-{secret}"), (499, secret)):
        account = Account(stack, f"user{number}@{domain}", password, acme.server)
        assert arrived(account, send_as_stranger(acme.server, account.address))

    before = audited(stack, domain)
    upload(browser, acme.page(domain, "imports", "add"), path)
    browser.wait_for("[data-status=ready]")
    assert figures(browser) == {"New": "0", "Changed": "0", "Unchanged": "500", "Refused": "0"}
    assert "Nothing in this file changes a mailbox" in browser.text
    assert audited(stack, domain) == before
    assert browser.complaints() == []
    acme.person.sends(acme.page(domain, "delete"), confirm=domain)


def upload(browser: Browser, page: str, path: Path) -> None:
    browser.open(page)
    browser.one("[name=file]").send_keys(str(path))
    browser.press("Upload and compare")


def figures(browser: Browser) -> dict[str, str]:
    """The four numbers of what the file would do."""
    found = {}
    for row in browser.driver.find_elements("css selector", "main dl.facts > div"):
        label, _, value = row.text.partition("\n")
        found[label] = value
    return found


def mailboxes(stack: Stack, domain: str) -> int:
    query = (
        "SELECT count(*) FROM domains_mailbox m JOIN domains_domain d ON d.id = domain_id WHERE d.name = %s"
    )
    return int(stack.rows(query, domain)[0][0])


def audited(stack: Stack, domain: str) -> int:
    """How many changes of mailboxes of this domain stand in the audit."""
    query = "SELECT count(*) FROM accounts_auditentry WHERE action LIKE 'mailbox.%%' AND subject LIKE %s"
    return int(stack.rows(query, f"%@{domain}")[0][0])
