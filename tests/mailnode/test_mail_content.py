"""What happens to messages: signatures, filters, counts; and that nothing of them leaves the mail store."""

import base64
import functools
import os
import smtplib
import socket
import ssl
import subprocess
import time

import dkim
import msgspec
import pytest

from mailnode import wire
from tests.mailnode.clients import (
    GTUBE,
    arrived,
    find,
    imap,
    message,
    parsed,
    send,
    sign_in,
    stranger,
    trusting,
    until,
)
from tests.mailnode.server import Server, dkim_key, gone, identity, mailbox, password_hash

ANNA, BOB, MALLORY = "anna@acme.test", "bob@acme.test", "mallory@mal.test"


def record_of(private_key: str) -> bytes:
    """The TXT record of a key."""
    argv = ["openssl", "rsa", "-pubout", "-outform", "DER"]
    public = subprocess.run(argv, input=private_key.encode(), capture_output=True, check=True).stdout
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def is_signed(raw: bytes, record: bytes, selector: str = "k1") -> bool:
    name = f"{selector}._domainkey.acme.test.".encode()
    return dkim.verify(raw, dnsfunc=lambda asked, timeout=5: record if asked == name else None)


def test_what_a_mailbox_sends_is_signed(mail_server: Server, private_key: str) -> None:
    mail_server.push(dkim_key("acme.test", private_key))
    with sign_in(mail_server, ANNA, "anna-secret") as client:
        assert is_signed(sent(mail_server, client), record_of(private_key))
    with stranger(mail_server) as client:
        send(client, ANNA, [BOB], message(ANNA, BOB, "forged"))
    assert "DKIM-Signature" not in parsed(arrived(mail_server, BOB, "bob-secret", "forged"))


def sent(server: Server, client: smtplib.SMTP) -> bytes:
    """What Anna sends now, as it arrives."""
    subject = f"signed {time.monotonic_ns()}"
    assert send(client, ANNA, [BOB], message(ANNA, BOB, subject))[0] == 250
    return arrived(server, BOB, "bob-secret", subject)


def test_what_is_effective_is_signed_from_the_next_message_on(
    mail_server: Server, private_keys: list[str]
) -> None:
    first, second, third = private_keys
    key = functools.partial(dkim_key, "acme.test")
    with sign_in(mail_server, ANNA, "anna-secret") as client:
        mail_server.push(gone("dkim", "k1.acme.test"))
        assert "DKIM-Signature" not in parsed(sent(mail_server, client))
        mail_server.push(key(first))
        assert is_signed(sent(mail_server, client), record_of(first))
        mail_server.push(silent(key(first)), key(second, "k2"))
        assert is_signed(sent(mail_server, client), record_of(second), "k2")
        mail_server.push(gone("dkim", "k2.acme.test"), key(third, key="another under k1"))
        assert is_signed(sent(mail_server, client), record_of(third))
        mail_server.push(gone("dkim", "another under k1"), key(first))
        assert is_signed(sent(mail_server, client), record_of(first))


def silent(key: wire.Row) -> wire.Row:
    """The same key, which does not sign."""
    return wire.row("dkim", key.key, msgspec.structs.replace(wire.data_of(key), signs=False))


def sieve(server: Server, user: str, password: str, script: str) -> None:
    """Put a script in force by ManageSieve (RFC 5804)."""
    with socket.create_connection(("127.0.0.1", server.ports["sieve"]), timeout=20) as raw:
        _answer(raw)
        raw.sendall(b"STARTTLS\r\n")
        _answer(raw)
        with trusting(server).wrap_socket(raw, server_hostname="127.0.0.1") as client:
            _answer(client)
            secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
            size = len(script.encode())
            for line in (
                f'AUTHENTICATE "PLAIN" "{secret}"',
                f'PUTSCRIPT "main" {{{size}+}}\r\n{script}',
                'SETACTIVE "main"',
            ):
                client.sendall(f"{line}\r\n".encode())
                _answer(client)


def _answer(client: socket.socket | ssl.SSLSocket) -> str:
    text = b""
    while not any(line.startswith((b"OK", b"NO", b"BYE")) for line in text.splitlines()):
        text += client.recv(4_096)
    assert b"\nNO" not in b"\n" + text, text
    return text.decode()


def test_a_vacation_answer_is_sent_and_signed(mail_server: Server, private_key: str) -> None:
    mail_server.push(
        dkim_key("acme.test", private_key), mailbox("vera@acme.test", secret=password_hash("vera-secret"))
    )
    sieve(
        mail_server,
        "vera@acme.test",
        "vera-secret",
        'require "vacation";\r\nvacation :subject "away" "I am away.";',
    )
    with sign_in(mail_server, BOB, "bob-secret") as client:
        assert send(client, BOB, ["vera@acme.test"], message(BOB, "vera@acme.test"))[0] == 250
    answer = arrived(mail_server, BOB, "bob-secret", "away")
    assert parsed(answer)["From"] == "<vera@acme.test>"
    assert is_signed(answer, record_of(private_key))


def test_a_script_writes_under_nobody_elses_address(mail_server: Server, private_key: str) -> None:
    mail_server.push(dkim_key("acme.test", private_key))
    script = 'require "vacation";\r\nvacation :from "anna@acme.test" :subject "forged answer" "pay here";'
    sieve(mail_server, MALLORY, "mallory-secret", script)
    with sign_in(mail_server, BOB, "bob-secret") as client:
        assert send(client, BOB, [MALLORY], message(BOB, MALLORY, "asks"))[0] == 250
    assert arrived(mail_server, MALLORY, "mallory-secret", "asks")
    time.sleep(1)
    assert find(mail_server, BOB, "bob-secret", "forged answer") == []
    notify = 'require "enotify";\r\nnotify :from "anna@acme.test" "mailto:bob@acme.test";'
    with pytest.raises(AssertionError, match="NO"):
        sieve(mail_server, MALLORY, "mallory-secret", notify)
    sieve(mail_server, MALLORY, "mallory-secret", "keep;")


def test_a_redirected_message_arrives_and_is_not_signed(mail_server: Server, private_key: str) -> None:
    mail_server.push(
        dkim_key("acme.test", private_key), mailbox("rudi@acme.test", secret=password_hash("rudi-secret"))
    )
    sieve(mail_server, "rudi@acme.test", "rudi-secret", f'redirect "{BOB}";')
    with stranger(mail_server) as client:
        assert send(client, ANNA, ["rudi@acme.test"], message(ANNA, "rudi@acme.test", "passed on"))[0] == 250
        junk = message("s@s.example", "rudi@acme.test", "spam passed on", GTUBE.replace("XJS", "YJS"))
        assert send(client, "s@s.example", ["rudi@acme.test"], junk)[0] == 250
    raw = arrived(mail_server, BOB, "bob-secret", "passed on")
    assert "DKIM-Signature" not in parsed(raw)
    assert arrived(mail_server, "rudi@acme.test", "rudi-secret", "spam passed on", "Junk")
    assert find(mail_server, BOB, "bob-secret", "spam passed on") == []


def test_usage_and_last_sign_in_are_counted(mail_server: Server) -> None:
    mail_server.push(mailbox("ute@acme.test", secret=password_hash("ute-secret")))
    key, before = identity("ute@acme.test"), int(time.time())

    def seen() -> wire.Usage | None:
        entries, after = [], ""
        while (page := mail_server.usage(after)).entries:
            entries, after = entries + page.entries, page.next
        return next((entry for entry in entries if entry.mailbox == key), None)

    with stranger(mail_server) as client:
        assert (
            send(
                client, "s@s.example", ["ute@acme.test"], message("s@s.example", "ute@acme.test", "counted")
            )[0]
            == 250
        )
    size = len(arrived(mail_server, "ute@acme.test", "ute-secret", "counted"))
    until(lambda: (entry := seen()) and entry.messages == 1 and entry.bytes == size)
    assert before <= seen().last_sign_in <= time.time()
    session = imap(mail_server, "ute@acme.test", "ute-secret")
    session.select()
    session.store("1", "+FLAGS", r"\Deleted")
    session.expunge()
    until(lambda: seen().bytes == 0, within=30)  # while the session stays open


@pytest.mark.parametrize("spam", [False, True])
def test_nothing_of_a_message_leaves_the_mail_store(mail_server: Server, spam: bool) -> None:
    marks = [f"{word}{os.urandom(6).hex()}" for word in ("subject", "body", "link", "file", "name")]
    subject, body, link, file, name = marks
    text = f"{body} http://{link}.example/{link}?q={link} {GTUBE.replace('XJS', 'YJS') if spam else ''}"
    parts = [
        f"--limit\r\nContent-Type: text/plain\r\n\r\n{text}",
        f'--limit\r\nContent-Type: application/pdf; name="{file}.pdf"\r\n'
        f'Content-Disposition: attachment; filename="{file}.pdf"\r\n\r\n{file}\r\n--limit--',
    ]
    headers = {
        "MIME_Version": "1.0",
        "Content_Type": 'multipart/mixed; boundary="limit"',
        "Reply_To": f"{name} <a@b.example>",
    }
    with stranger(mail_server) as client:
        raw = message("s@s.example", BOB, subject, "\r\n".join(parts), **headers)
        assert send(client, "s@s.example", [BOB], raw)[0] == 250
    with sign_in(mail_server, ANNA, "anna-secret") as client:
        raw = message(ANNA, BOB, subject, "\r\n".join(parts), **headers)
        assert send(client, ANNA, [BOB], raw)[0] == 250
        raw = message("not-owned@x.example", BOB, subject, "\r\n".join(parts), **headers)
        assert send(client, ANNA, [BOB], raw)[0] == (
            250 if spam else 554
        )  # a test pattern skips every filter
    arrived(mail_server, BOB, "bob-secret", subject, "Junk" if spam else "INBOX")
    with pytest.raises(Exception, match="535"):
        sign_in(mail_server, ANNA, marks[1])
    time.sleep(1)
    mail = mail_server.settings.mail
    found = subprocess.run(
        ["grep", "-rlaE", "|".join(marks), str(mail_server.directory)], capture_output=True, text=True
    ).stdout.splitlines()
    assert any(path.startswith(str(mail)) for path in found)
    assert [path for path in found if not path.startswith(str(mail))] == []
