"""postmaster@ and abuse@ of every domain, answered by a real Postfix."""

import subprocess

import pytest

from tests.mailnode.clients import arrived, message, send, sign_in, stranger, until
from tests.mailnode.server import Server, customer, domain, gone, mailbox, password_hash, state

ANNA, MALLORY = "anna@acme.test", "mallory@mal.test"
STRANGER = "someone@nowhere.invalid"


@pytest.fixture
def contact(mail_server: Server):
    """Mail for acme's role addresses is sent on to mallory, who is another customer's."""
    mail_server.push(customer("acme", contact=MALLORY))
    yield MALLORY
    mail_server.push(customer("acme"))


def to(server: Server, recipient: str, subject: str, sender: str = STRANGER) -> tuple[int, str]:
    with stranger(server) as client:
        return send(client, sender, [recipient], message(sender or STRANGER, recipient, subject))


def queue_is_empty(server: Server) -> bool:
    command = ["postqueue", "-c", str(server.directory / "postfix/etc"), "-p"]
    return "empty" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("role", ["postmaster", "Abuse", "abuse+report"])
def test_they_are_sent_on(mail_server: Server, contact: str, role: str) -> None:
    assert to(mail_server, f"{role}@acme.test", f"for {role}")[0] == 250
    assert arrived(mail_server, contact, "mallory-secret", f"for {role}")
    assert to(mail_server, "postmasters@acme.test", "no role")[1].startswith("5.1.1")


def test_a_mailbox_of_that_name_comes_first(mail_server: Server, contact: str) -> None:
    mail_server.push(mailbox("postmaster@acme.test", secret=password_hash("postmaster-secret")))
    assert to(mail_server, "postmaster@acme.test", "for the mailbox")[0] == 250
    assert arrived(mail_server, "postmaster@acme.test", "postmaster-secret", "for the mailbox")
    mail_server.push(gone("mailbox", "postmaster@acme.test"))
    assert to(mail_server, "postmaster@acme.test", "for the contact")[0] == 250
    assert arrived(mail_server, contact, "mallory-secret", "for the contact")


def test_a_stopped_customer_is_still_reached(mail_server: Server, contact: str) -> None:
    mail_server.push(state("acme", "customer", "receive"))
    assert to(mail_server, ANNA, "stopped")[0] == 450
    assert to(mail_server, "abuse@acme.test", "about a stopped one")[0] == 250
    assert arrived(mail_server, contact, "mallory-secret", "about a stopped one")
    mail_server.push(gone("state", "state of acme"))


def test_a_domain_whose_mail_is_elsewhere_has_none_here(mail_server: Server, contact: str) -> None:
    mail_server.push(domain("off.test", accepts=False))
    assert to(mail_server, "postmaster@off.test", "elsewhere")[0] == 554
    mail_server.push(gone("domain", "off.test"))


def test_nobody_writes_under_them(mail_server: Server, contact: str) -> None:
    with sign_in(mail_server, ANNA, "anna-secret") as client:
        code, text = send(client, "postmaster@acme.test", [MALLORY], message(ANNA, MALLORY))
        assert (code, text[:5]) == (553, "5.7.1")


def test_what_comes_back_goes_round_no_more(mail_server: Server) -> None:
    """The contact is gone, and the mail's sender is a role address, too: one bounce, which is dropped."""
    mail_server.push(customer("acme", contact="nobody@mal.test"))
    assert to(mail_server, "abuse@acme.test", "nowhere to go", sender="postmaster@acme.test")[0] == 250
    until(lambda: queue_is_empty(mail_server))
    mail_server.push(customer("acme"))
