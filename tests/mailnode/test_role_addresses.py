"""postmaster@ and abuse@ of every domain, answered by a real Postfix."""

import itertools
import smtplib
import subprocess

import pytest

from tests.mailnode.clients import arrived, find, message, parsed, send, sign_in, stranger, until
from tests.mailnode.server import Server, customer, domain, gone, mailbox, password_hash, state

ANNA, MALLORY = "anna@acme.test", "mallory@mal.test"
STRANGER = "someone@nowhere.invalid"


@pytest.fixture
def contact(mail_server: Server):
    """Mail for acme's role addresses is sent on to mallory, who is another customer's."""
    mail_server.push(customer("acme", contact=MALLORY))
    yield MALLORY
    mail_server.push(customer("acme"))


NETWORKS = itertools.count(1)


def to(server: Server, recipient: str, subject: str, sender: str = STRANGER) -> tuple[int, str]:
    """Each time from another network: one alone may send little there."""
    with stranger(server, source=f"127.0.{next(NETWORKS)}.1") as client:
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
    to(mail_server, ANNA, "another")  # Postfix remembers for some seconds where the last one went
    assert arrived(mail_server, ANNA, "anna-secret", "another")
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


def test_it_goes_on_under_no_sender_and_as_it_was(mail_server: Server, contact: str) -> None:
    """Nothing can come back to whoever stands as its sender, and SPF of theirs is not asked."""
    mime = {
        "MIME_Version": "1.0",
        "Content_Type": "text/plain; charset=utf-8",
        "Content_Transfer_Encoding": "8bit",
    }
    text = message(STRANGER, "abuse@acme.test", "as it was", body="Grüße  \r\n\tund mehr\r\n\r\n", **mime)
    with stranger(mail_server) as client:
        client.mail(STRANGER, ["BODY=8BITMIME", "RET=FULL", "ENVID=a>b"])
        client.rcpt(ANNA)
        client.rcpt("abuse@acme.test", ["NOTIFY=SUCCESS,FAILURE"])
        assert client.data(text.encode())[0] == 250
    own = arrived(mail_server, ANNA, "anna-secret", "as it was")
    sent_on = arrived(mail_server, contact, "mallory-secret", "as it was")
    assert parsed(own)["Return-Path"] == f"<{STRANGER}>"
    assert parsed(sent_on)["Return-Path"] == "<>"
    assert sent_on[sent_on.index(b"From: ") :] == text.encode()


def test_every_sender_is_taken_off(mail_server: Server, contact: str) -> None:
    for number, sender in enumerate(['"a> b"@nowhere.invalid', "", "postmaster@acme.test", MALLORY]):
        assert to(mail_server, "abuse@acme.test", f"sender {number}", sender=sender)[0] == 250
        assert (
            parsed(arrived(mail_server, contact, "mallory-secret", f"sender {number}"))["Return-Path"] == "<>"
        )


@pytest.mark.parametrize("sender", [MALLORY, "postmaster@acme.test", ""])
def test_what_cannot_be_delivered_comes_back_to_nobody(mail_server: Server, sender: str) -> None:
    """A forged sender would get the bounce of what was never theirs."""
    mail_server.push(customer("acme", contact="nobody@mal.test"))
    assert to(mail_server, "abuse@acme.test", "nowhere to go", sender=sender)[0] == 250
    until(lambda: queue_is_empty(mail_server))
    assert not find(mail_server, MALLORY, "mallory-secret", "Undelivered")
    mail_server.push(customer("acme"))


def test_what_was_taken_is_sent_on_however_long_its_way(mail_server: Server, contact: str) -> None:
    """From so many servers as may be: refused on its second way it would be a bounce."""
    hops = "".join(f"Received: from a{number}.invalid by b{number}.invalid\r\n" for number in range(48))
    text = hops + message(STRANGER, "abuse@acme.test", "far away")
    with stranger(mail_server) as client:
        assert send(client, STRANGER, ["abuse@acme.test"], text)[0] == 250
    assert arrived(mail_server, contact, "mallory-secret", "far away")


def test_the_way_there_is_for_our_own_domains_alone(mail_server: Server, contact: str) -> None:
    with smtplib.SMTP("127.0.0.1", mail_server.ports["roles"], timeout=30) as client:
        client.ehlo("localhost")
        assert client.esmtp_features["size"] == "", "as large as may have come in, and a line more"
        code, text = send(client, STRANGER, [STRANGER], message(STRANGER, STRANGER))
        assert (code, text[:5]) == (554, "5.7.1")
