"""A send limit, from the form in the browser to the answer of the mail server and back to the page."""

import smtplib

from tests.e2e.hosting import Tenant
from tests.e2e.mail import Account, letter, submission
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually


def recipients_taken(account: Account, *recipients: str) -> list[int]:
    """The answers to these recipients; the message goes to those that are taken."""
    with submission(account) as client:
        client.mail(account.address)
        codes = [client.rcpt(recipient)[0] for recipient in recipients]
        if 250 in codes:
            assert client.data(letter(account.address, recipients[0]).as_bytes())[0] == 250
    return codes


def test_reached_told_and_raised(acme: Tenant, anna: Account, ben: Account, stack: Stack, new_name) -> None:
    sender = acme.add_mailbox("acme.test", new_name("sender"))
    page = acme.mailbox_page(sender)
    acme.change(sender, "limit", limit=3)
    assert 'data-send-limit="3"' in acme.person.get(page).text
    assert recipients_taken(sender, *[ben.address] * 5) == [250, 250, 250, 450, 450]
    with submission(sender) as client:
        client.mail(sender.address)
        code, text = client.rcpt(ben.address)
        assert (code, text[:5]) == (450, b"4.7.1")
        assert f"{stack.panel}{page}".encode() in text
    # Nobody else is touched: neither another mailbox of the customer, nor what the sender receives.
    assert recipients_taken(anna, sender.address) == [250]
    eventually(lambda: 'data-sent="3"' in acme.person.get(page).text, 60)
    acme.change(sender, "limit", limit="")
    eventually(lambda: recipients_taken(sender, ben.address) == [250], 20)
    eventually(lambda: 'data-sent="4"' in acme.person.get(page).text, 60)


def test_what_the_filter_refuses_is_given_back(acme: Tenant, ben: Account, new_name) -> None:
    sender = acme.add_mailbox("acme.test", new_name("refused"))
    acme.change(sender, "limit", limit=1)
    spam = letter(sender.address, ben.address)
    spam.set_content("XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\n")

    def refused(client: smtplib.SMTP) -> int:
        client.mail(sender.address)
        assert client.rcpt(ben.address)[0] == 250
        return client.data(spam.as_bytes())[0]

    with submission(sender) as client:
        assert refused(client) == 554
    eventually(lambda: recipients_taken(sender, ben.address) == [250], 20)
