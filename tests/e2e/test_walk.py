"""The whole way through the house in a browser: a stranger's order becomes a delivered message.

Every step leaves pictures in the stack's `artifacts`. Once with JavaScript, once without, once by keyboard alone.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_hex

import dkim
import pytest

from tests.e2e.browser import Browser
from tests.e2e.dns_owner import publish, txt
from tests.e2e.hosting import DETAILS, records_of
from tests.e2e.keyboard import Keyboard
from tests.e2e.mail import Account, arrived, fetched_by_pop3, folder, imap, letter, send
from tests.e2e.person import confirmation_link, mails_to
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True)
class Walker:
    """The person who walks, and what will be theirs."""

    address: str
    password: str
    username: str
    domain: str

    @classmethod
    def new(cls) -> "Walker":
        mark = token_hex(4)
        return cls(f"wanda-{mark}@people.test", f"walks-{token_hex(8)}", f"w{mark}", f"walk-{mark}.test")


WALKS = {
    "walk": (Browser, True), "walk-without-javascript": (Browser, False), "walk-by-keyboard": (Keyboard, True)
}  # fmt: skip


@pytest.fixture(params=WALKS)
def browser(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Browser]:
    pictures = stack.artifacts / "walk"
    pictures.mkdir(parents=True, exist_ok=True)
    kind, javascript = WALKS[request.param]
    found = kind(stack, pictures, request.param, javascript=javascript)
    try:
        yield found
    finally:
        found.close()


def test_a_strangers_order_becomes_a_delivered_message(
    stack: Stack, browser: Browser, anna: Account, carl: Account
) -> None:
    walker = Walker.new()
    assert_javascript_is_as_said(browser)
    order(browser, walker)
    sign_up(browser, walker)
    number = place_order(browser)
    with browser.somebody_else("staff"):
        staff_approve(browser, number)
    assert_unpaid(browser, walker)
    with browser.somebody_else("staff"):
        staff_record_payment(browser, number)
    browser.driver.refresh()
    assert browser.one("[data-status]").get_attribute("data-status") == "active"
    browser.picture("order-active")
    add_domain(browser, walker)
    one, two = (add_mailbox(browser, walker, name) for name in ("first", "second"))
    assert not browser.complaints(), browser.complaints()
    exchange_mail(one, two, carl if one.server == anna.server else anna)


def assert_javascript_is_as_said(browser: Browser) -> None:
    """Without JavaScript Chromium shows what stands in <noscript>."""
    page = "data:text/html,<p id=p>no</p><script>document.getElementById('p').textContent='yes'</script>"
    browser.driver.get(page)
    assert (browser.one("#p").text == "yes") is browser.javascript


def order(browser: Browser, walker: Walker) -> None:
    """From the front page to the order form, filled in before there is an account."""
    browser.open("/")
    browser.picture("home")
    browser.open("/plans/")
    browser.picture("plans")
    browser.open("/order/")
    fields = {**DETAILS, "plan": "25gb", "name": "Fraud Reported", "company": "Walk & Sons <Ltd>"}
    browser.fill(**fields, username=walker.username, domain=walker.domain)
    browser.picture("order-form")
    browser.press("Continue")
    assert browser.path == "/accounts/signup/", browser.text


def sign_up(browser: Browser, walker: Walker) -> None:
    browser.fill(email=walker.address, password1=walker.password, password2=walker.password)
    browser.picture("sign-up")
    browser.press("Create account")
    browser.picture("look-into-your-inbox")
    browser.open(confirmation_link(browser.stack, walker.address))
    browser.picture("confirm")
    browser.press("Confirm this address")
    assert browser.path == "/order/", f"{browser.path}: {browser.text}"


def place_order(browser: Browser) -> str:
    """Back at the review, with nothing lost, once more to the form, and sent; the number of the order that was placed."""
    assert DETAILS["city"] in browser.text
    browser.picture("order-review")
    browser.press("Change")
    assert browser.one("[name=company]").get_attribute("value") == "Walk & Sons <Ltd>"
    assert browser.one("[name=plan]:checked").get_attribute("value") == "25gb"
    browser.fill(city="Voss", terms="on")
    browser.picture("order-form-again")
    browser.press("Review order")
    assert "Voss" in browser.text
    browser.press("Place order")
    assert browser.path.startswith("/order/"), browser.text
    browser.wait_for("[data-status=review]")
    browser.picture("order-in-review")
    return browser.path.split("/")[2]


def staff_approve(browser: Browser, number: str) -> None:
    """Somebody of the staff signs in with a second factor, finds the order in the queue and approves it."""
    facts = browser.stack.sign_in("staff")
    browser.sign_in(facts["email"], facts["password"], facts["totp_secret"])
    browser.open("/admin/review/")
    browser.picture("staff-queue")
    browser.click(number)
    assert browser.path == f"/admin/review/{number}/"
    browser.fill(decision="approve", text="Spoke with them on the phone.")
    browser.picture("staff-review")
    browser.press("Decide")
    assert browser.one("[data-status]").get_attribute("data-status") == "unpaid", browser.text


def assert_unpaid(browser: Browser, walker: Walker) -> None:
    """The customer is told how to pay, on the page and by mail."""
    assert browser.one("[data-status]").get_attribute("data-status") == "unpaid"
    browser.picture("order-unpaid")
    eventually(lambda: any("bank account" in text for text in mails_to(browser.stack, walker.address)), 20)


def staff_record_payment(browser: Browser, number: str) -> None:
    browser.open(f"/admin/review/{number}/")
    due = browser.one("[data-amount]").get_attribute("data-amount")
    browser.fill(method="bank_transfer", reference="Statement 7", amount=str(due), currency="USD")
    browser.picture("staff-payment")
    browser.press("Record payment")
    assert browser.one("[data-status]").get_attribute("data-status") == "active", browser.text


def add_domain(browser: Browser, walker: Walker) -> None:
    """First without its record, which is missing then; then as its owner, who can publish it."""
    add = f"/c/{walker.username}/domains/add/"
    browser.open(f"/c/{walker.username}/")
    browser.picture("customer")
    browser.open(add)
    browser.fill(domain=walker.domain)
    browser.press("Check and add")
    assert browser.one("[data-result]").get_attribute("data-result") == "missing"
    browser.picture("domain-missing")
    name, value = (browser.one(f"[data-record-{part}]").text for part in ("name", "value"))
    publish(browser.stack, name, "TXT", value)
    browser.fill(domain=walker.domain)
    browser.press("Check and add")
    assert browser.path == f"/c/{walker.username}/domains/{walker.domain}/", browser.text
    for rdtype, record, text in records_of(browser.driver.page_source):
        publish(browser.stack, record, rdtype, text)
    browser.press("Check now")
    for kind in ("mx", "spf", "dkim", "dmarc"):
        state = browser.one(f"[data-record={kind}] [data-state]").get_attribute("data-state")
        assert state == "ok", f"{kind} is {state}"
    browser.picture("domain")


def add_mailbox(browser: Browser, walker: Walker, username: str) -> Account:
    """Added, saved at once, and soon live; the page tells the mail server and how to reach it."""
    password = f"mailbox-{token_hex(8)}"
    browser.open(f"/c/{walker.username}/domains/{walker.domain}/mailboxes/add/")
    browser.fill(username=username, password=password, name="Wanda Walker", quota_mb="512")
    if username == "first":
        browser.picture("mailbox-form")
    browser.press("Add mailbox")
    browser.wait_for("[data-live=true]")
    if username == "first":
        browser.picture("mailbox-live")
    server = browser.stack.server_of(walker.username)
    assert browser.one("[data-server]").get_attribute("data-server") == server.name
    return Account(browser.stack, f"{username}@{walker.domain}", password, server)


def exchange_mail(one: Account, two: Account, elsewhere: Account) -> None:
    """To an own mailbox, and by MX to another customer's on the other server; signed, and read both ways."""
    assert one.server != elsewhere.server
    for recipient in (two, elsewhere):
        subject = send_by_swaks(one, recipient.address)
        raw = arrived(recipient, subject)
        assert fetched_by_pop3(recipient)[subject], "POP3 does not offer it"
        assert_signed(one.stack, raw, one.address)
    answer = letter(elsewhere.address, one.address)
    send(elsewhere, one.address, answer)
    assert_signed(one.stack, arrived(one, str(answer["Subject"])), elsewhere.address)
    with imap(one) as client:
        assert str(answer["Subject"]) in folder(client)


def send_by_swaks(account: Account, recipient: str) -> str:
    """Send a message on port 587 with swaks, a mail client of its own; the subject."""
    subject = f"Walk {token_hex(6)}"
    host, port = account.server.at("submission")
    arguments = ["--server", host, "--port", str(port), "--tls", "--tls-verify", "--auth", "PLAIN"]
    arguments += ["--tls-ca-path", account.stack.facts["tls_ca"], "--ehlo", "laptop.client.test"]
    arguments += ["--auth-user", account.address, "--auth-password", account.password]
    arguments += ["--from", account.address, "--to", recipient, "--header", f"Subject: {subject}"]
    done = subprocess.run(["swaks", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-500:]
    return subject


def assert_signed(stack: Stack, raw: bytes, sender: str) -> None:
    """The signature is the sender's domain's own, and dkimpy verifies it against the stack's DNS."""
    signature = raw.partition(b"DKIM-Signature:")[2].partition(b"\r\n\r\n")[0]
    assert f"d={sender.rpartition('@')[2]};".encode() in signature, "no signature of the sender's domain"
    assert dkim.verify(raw, dnsfunc=lambda name, timeout=5: txt(stack, name)), "the signature does not verify"
