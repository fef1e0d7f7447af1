"""Every SMTP answer of the contract, from a real Postfix, Dovecot and Rspamd."""

import json
import smtplib
import socket
import subprocess

import pytest

from mailnode import wire
from tests.mailnode.clients import GTUBE, arrived, find, message, send, sign_in, stranger, until
from tests.mailnode.server import Server, customer, domain, gone, identity, mailbox, password_hash, state

ANNA, BOB, MALLORY = "anna@acme.test", "bob@acme.test", "mallory@mal.test"
STRANGER = "someone@nowhere.invalid"  # a domain that does not resolve


def from_stranger(server: Server, *recipients: str, size: bool = True, **parts: str) -> tuple[int, str]:
    with stranger(server) as client:
        return send(client, STRANGER, recipients, message(STRANGER, recipients[0], **parts), size)


def from_anna(
    server: Server, recipient: str, sender: str = ANNA, header: str = ANNA, **parts: str
) -> tuple[int, str]:
    with sign_in(server, ANNA, "anna-secret") as client:
        return send(client, sender, [recipient], message(header, recipient, **parts))


@pytest.mark.parametrize("entrance", ["submission", "submission_alt", "submissions"])
def test_a_mailbox_sends_and_another_receives(mail_server: Server, entrance: str) -> None:
    with sign_in(mail_server, ANNA, "anna-secret", entrance) as client:
        assert send(client, ANNA, [MALLORY], message(ANNA, MALLORY, f"by {entrance}"))[0] == 250
    assert arrived(mail_server, MALLORY, "mallory-secret", f"by {entrance}")


def test_a_stranger_reaches_a_mailbox_and_its_tags(mail_server: Server) -> None:
    assert from_stranger(mail_server, "Anna+news@ACME.test", subject="to a tag")[0] == 250
    assert arrived(mail_server, ANNA, "anna-secret", "to a tag")


def test_unknown_and_deleted_mailboxes(mail_server: Server) -> None:
    assert from_stranger(mail_server, "nobody@acme.test")[1].startswith("5.1.1")
    code, text = from_anna(mail_server, "nobody@acme.test")
    assert (code, text[:5]) == (550, "5.1.1")
    mail_server.push(mailbox("carl@acme.test"))
    assert from_stranger(mail_server, "carl@acme.test")[0] == 250
    mail_server.push(gone("mailbox", "carl@acme.test"))
    code, text = from_stranger(mail_server, "carl@acme.test")
    assert (code, text[:5]) == (550, "5.1.1")


def test_no_relay(mail_server: Server) -> None:
    for recipient in (
        "x@elsewhere.example",
        "x%elsewhere.example@acme.test",
        "@acme.test:x@elsewhere.example",
    ):
        code, text = from_stranger(mail_server, recipient)
        assert (code, text[:5]) in ((554, "5.7.1"), (550, "5.1.1"), (501, "5.1.3")), recipient
    with sign_in(mail_server, ANNA, "anna-secret") as client:
        client.mail(ANNA)
        assert client.rcpt("x@elsewhere.example")[0] == 250


def test_no_sending_without_signing_in(mail_server: Server) -> None:
    with smtplib.SMTP("127.0.0.1", mail_server.ports["submission"]) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.mail(ANNA)[0] == 530  # TLS first
    with smtplib.SMTP("127.0.0.1", mail_server.ports["smtp"]) as client:
        client.starttls()
        client.ehlo()
        assert not client.has_extn("auth")  # port 25 takes mail and nothing else


def test_bad_sign_in(mail_server: Server) -> None:
    for user, password in ((ANNA, "wrong"), ("nobody@acme.test", "x"), (ANNA, ""), ("anna", "anna-secret")):
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            sign_in(mail_server, user, password)
        assert (caught.value.smtp_code, caught.value.smtp_error[:5]) == (535, b"5.7.8"), user


def test_an_envelope_sender_that_is_not_owned(mail_server: Server) -> None:
    for sender in (BOB, MALLORY, "x@elsewhere.example", "anna@mal.test"):
        code, text = from_anna(mail_server, BOB, sender=sender)
        assert (code, text[:5]) == (553, "5.7.1"), sender
    assert from_anna(mail_server, BOB, sender="anna+tag@acme.test")[0] == 250


@pytest.mark.parametrize(
    ("header", "passes"),
    [
        (ANNA, True),
        ("Anna <ANNA@Acme.test>", True),
        ('"Anna, of Acme" <anna+shop@acme.test>', True),
        (BOB, False),
        ("x@elsewhere.example", False),
        (f"{ANNA}, {BOB}", False),
        (f"{ANNA}\r\nFrom: {BOB}", False),
        (f"<{ANNA}> <{BOB}>", False),
        (f"=?utf-8?q?=3C{ANNA}=3E?= <{BOB}>", False),
        ("undisclosed:;", False),
        ("", False),
        ("anna@acme.test.evil.example", False),
        (f'"{BOB}" <{ANNA}>', True),
        (f"{ANNA} (Anna)", True),
        # Dovecot and others read the first of two addresses here, Rspamd the second.
        (f"{BOB} <{ANNA}>", False),
        (f"{BOB} <{ANNA}> x", False),
        (f'{BOB}\\" <{ANNA}>', False),
        (f'"a\\" {BOB} <{ANNA}>', False),
        (f'" ( " {BOB} " ) " <{ANNA}>', False),
        (f'(" ) {BOB} (" ) <{ANNA}>', False),
        (f"{'(' * 1_000} {BOB} <{ANNA}>", False),
        (f"bob @ acme . test <{ANNA}>", False),
    ],
)
def test_the_from_header_is_the_mailbox_or_its_tags(mail_server: Server, header: str, passes: bool) -> None:
    code, text = from_anna(mail_server, BOB, header=header)
    assert (code, text[:5]) == ((250, "2.0.0") if passes else (554, "5.7.1"))


def test_a_message_without_from(mail_server: Server) -> None:
    with sign_in(mail_server, ANNA, "anna-secret") as client:
        assert send(client, ANNA, [BOB], "Subject: x\r\n\r\nhi\r\n")[0] == 554


def test_a_stopped_sender_also_on_an_open_session(mail_server: Server) -> None:
    with sign_in(mail_server, ANNA, "anna-secret") as client:
        assert send(client, ANNA, [BOB], message(ANNA, BOB))[0] == 250
        mail_server.push(state(ANNA, "mailbox", "sign_in", "send", "receive", reason="Unpaid invoice"))
        code, text = send(client, ANNA, [BOB], message(ANNA, BOB))
        assert (code, text[:5]) == (450, "4.7.1")
        assert "Unpaid invoice" in text
        with pytest.raises(smtplib.SMTPAuthenticationError):
            sign_in(mail_server, ANNA, "anna-secret")
        mail_server.push(gone("state", f"state of {ANNA}"))
        assert send(client, ANNA, [BOB], message(ANNA, BOB))[0] == 250


def test_a_stopped_recipient(mail_server: Server) -> None:
    mail_server.push(state("acme", "customer", "receive"))
    for code, text in (from_stranger(mail_server, ANNA), from_anna(mail_server, BOB)):
        assert (code, text[:5]) == (450, "4.2.1")
    mail_server.push(gone("state", "state of acme"))
    assert from_stranger(mail_server, ANNA)[0] == 250


def waiting(server: Server, recipient: str) -> int:
    """How many messages for this recipient wait in the queue."""
    command = ["postqueue", "-c", str(server.directory / "postfix/etc"), "-j"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    found = [{one["address"] for one in json.loads(line)["recipients"]} for line in lines]
    return sum(recipient in addresses for addresses in found)


def test_mail_that_was_accepted_waits_and_arrives_when_it_may(mail_server: Server) -> None:
    with stranger(mail_server) as client:
        # Postfix remembers for 30 seconds where the mail of its last recipient goes: let that be another one.
        assert send(client, STRANGER, [BOB], message(STRANGER, BOB, "goes first"))[0] == 250
        assert arrived(mail_server, BOB, "bob-secret", "goes first")
        client.mail(STRANGER)
        assert [client.rcpt(recipient)[0] for recipient in (ANNA, BOB)] == [250, 250]
        mail_server.push(state(ANNA, "mailbox", "receive"))
        assert client.data(message(STRANGER, ANNA, "that waits"))[0] == 250
    assert arrived(mail_server, BOB, "bob-secret", "that waits")
    until(lambda: waiting(mail_server, ANNA))
    assert find(mail_server, ANNA, "anna-secret", "that waits") == []
    mail_server.push(gone("state", f"state of {ANNA}"))
    until(lambda: find(mail_server, ANNA, "anna-secret", "that waits"), within=45)


def test_a_full_mailbox(mail_server: Server) -> None:
    """mallory has 200,000 bytes; what is told in advance is refused in advance, the rest when it has come."""
    big = "x" * 70 + "\r\n"
    code, text = from_stranger(mail_server, MALLORY, body=big * 4_000)
    assert (code, text[:5]) == (552, "5.2.2")
    code, text = from_stranger(mail_server, MALLORY, body=big * 4_000, size=False)
    assert (code, text[:5]) == (552, "5.2.2")
    assert from_stranger(mail_server, MALLORY, subject="fits", body=big * 2_000)[0] == 250
    assert arrived(mail_server, MALLORY, "mallory-secret", "fits")
    code, text = from_anna(mail_server, MALLORY, body=big * 2_000)
    assert (code, text[:5]) == (552, "5.2.2")
    assert from_stranger(mail_server, MALLORY, subject="small")[0] == 250


def test_a_full_plan(mail_server: Server) -> None:
    mail_server.push(customer("mal", storage_bytes=10))
    until(lambda: from_stranger(mail_server, MALLORY)[0] == 452)
    code, text = from_anna(mail_server, MALLORY)
    assert (code, text[:5]) == (452, "4.2.2")
    mail_server.push(customer("mal"))
    assert from_stranger(mail_server, MALLORY)[0] == 250


def test_the_look_up_service_away(mail_server: Server) -> None:
    mail_server.stop("lookup")
    try:
        for code, text in (from_stranger(mail_server, ANNA), from_anna(mail_server, BOB)):
            assert (code, text[:5]) == (451, "4.3.0")
    finally:
        mail_server.start("lookup")
    assert from_stranger(mail_server, ANNA)[0] == 250


def test_rspamd_away_means_later(mail_server: Server) -> None:
    mail_server.stop("rspamd")
    try:
        assert 400 <= from_stranger(mail_server, ANNA)[0] < 500
    finally:
        mail_server.start("rspamd")
    assert from_stranger(mail_server, ANNA)[0] == 250


def test_test_patterns(mail_server: Server) -> None:
    code, text = from_stranger(mail_server, ANNA, body=GTUBE)
    assert (code, text[:5]) == (554, "5.7.1")
    assert from_anna(mail_server, BOB, body=GTUBE)[0] == 554
    assert from_stranger(mail_server, ANNA, subject="junk", body=GTUBE.replace("XJS", "YJS"))[0] == 250
    assert arrived(mail_server, ANNA, "anna-secret", "junk", folder="Junk")


def test_a_domain_whose_mail_lives_elsewhere(mail_server: Server) -> None:
    mail_server.push(
        domain("away.test", accepts=False), mailbox("carl@away.test", secret=password_hash("carl-secret"))
    )
    code, text = from_stranger(mail_server, "carl@away.test")
    assert (code, text[:5]) == (554, "5.7.1")
    with sign_in(mail_server, "carl@away.test", "carl-secret") as client:
        assert send(client, "carl@away.test", [BOB], message("carl@away.test", BOB))[0] == 250


def test_a_new_mailbox_receives_at_once(mail_server: Server) -> None:
    mail_server.push(domain("fresh.test"), mailbox("new@fresh.test", secret=password_hash("new-secret")))
    assert from_stranger(mail_server, "new@fresh.test", subject="first")[0] == 250
    assert arrived(mail_server, "new@fresh.test", "new-secret", "first")


def test_commands_that_tell_or_smuggle(mail_server: Server) -> None:
    with stranger(mail_server) as client:
        assert client.verify(ANNA)[0] == 502
        assert client.docmd("ETRN", "acme.test")[0] >= 400
    with socket.create_connection(("127.0.0.1", mail_server.ports["smtp"])) as raw:
        raw.recv(1_000)
        for line in ("EHLO x.example", f"MAIL FROM:<{STRANGER}>", f"RCPT TO:<{ANNA}>", "DATA"):
            raw.sendall(f"{line}\r\n".encode())
            raw.recv(4_000)
        raw.sendall(message(STRANGER, ANNA, "smuggler").encode() + b"\n.\nMAIL FROM:<x@y.example>\r\n")
        raw.settimeout(1)
        with pytest.raises(TimeoutError):
            raw.recv(1_000)  # the bare line feeds end no message


def test_a_message_that_is_too_large(mail_server: Server) -> None:
    with stranger(mail_server) as client:
        assert client.mail(STRANGER, [f"SIZE={60 * 2**20}"])[0] == 552


def test_a_page_says_gone_for_good(mail_server: Server) -> None:
    """A deleted mailbox no longer sends on a session that is open."""
    mail_server.push(mailbox("dora@acme.test", secret=password_hash("dora-secret")))
    with sign_in(mail_server, "dora@acme.test", "dora-secret") as client:
        assert send(client, "dora@acme.test", [BOB], message("dora@acme.test", BOB))[0] == 250
        mail_server.push(wire.row("mailbox", identity("dora@acme.test"), None))
        assert send(client, "dora@acme.test", [BOB], message("dora@acme.test", BOB))[0] in (450, 553)
