"""Mail clients and other mail servers, as tests need them."""

import contextlib
import email
import email.message
import email.utils
import imaplib
import poplib
import secrets
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.mailnode.server import Server

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def trusting(server: Server) -> ssl.SSLContext:
    """A client that trusts the server's authority and checks its name."""
    return ssl.create_default_context(cafile=server.made["tls_ca"])


def message(sender: str, recipient: str, subject: str = "hello", body: str = "hi", **headers: str) -> str:
    """A message as a mail client writes it."""
    lines = [
        f"From: {sender}",
        f"To: {recipient}",
        f"Subject: {subject}",
        f"Date: {email.utils.formatdate()}",
    ]
    lines += [f"Message-ID: <{secrets.token_hex(8)}@client.example>"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body, ""])


def sign_in(server: Server, user: str, password: str, entrance: str = "submission") -> smtplib.SMTP:
    """A signed-in SMTP session; raises smtplib.SMTPAuthenticationError."""
    port = server.ports[entrance]
    if entrance == "submissions":
        client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", port, context=trusting(server), timeout=30)
    else:
        client = smtplib.SMTP("127.0.0.1", port, timeout=30)
        client.starttls(context=trusting(server))
    client.login(user, password)
    return client


def stranger(server: Server, source: str = "127.0.0.1") -> smtplib.SMTP:
    """Another mail server's session on port 25."""
    client = smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=30, source_address=(source, 0))
    client.ehlo("mail.stranger.example")
    return client


def send(
    client: smtplib.SMTP, sender: str, recipients: Sequence[str], text: str, size: bool = True
) -> tuple[int, str]:
    """Send a message; returns the reply that settled it: (code, text). Without `size` no SIZE is announced."""
    options = [f"SIZE={len(text)}"] if size else []
    code, reply = client.mail(sender, options)
    for recipient in recipients:
        if code == 250:
            code, reply = client.rcpt(recipient)
    if code == 250:
        code, reply = client.data(text)
    client.rset()
    return code, reply.decode(errors="replace")


def imap(server: Server, user: str, password: str) -> imaplib.IMAP4_SSL:
    """A signed-in IMAP session."""
    client = imaplib.IMAP4_SSL("127.0.0.1", server.ports["imaps"], ssl_context=trusting(server), timeout=30)
    client.login(user, password)
    return client


def pop3(server: Server, user: str, password: str) -> poplib.POP3_SSL:
    """A signed-in POP3 session."""
    client = poplib.POP3_SSL("127.0.0.1", server.ports["pop3s"], context=trusting(server), timeout=30)
    client.user(user)
    client.pass_(password)
    return client


def find(server: Server, user: str, password: str, subject: str, folder: str = "INBOX") -> list[bytes]:
    """Every message in a folder with this subject."""
    client = imap(server, user, password)
    try:
        client.select(folder)
        numbers = client.search(None, "SUBJECT", f'"{subject}"')[1][0].split()
        return [client.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1] for number in numbers]
    finally:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            client.logout()


def arrived(server: Server, user: str, password: str, subject: str, folder: str = "INBOX") -> bytes:
    """The message with this subject, once it is there."""
    return until(lambda: find(server, user, password, subject, folder))[0]


def until(seen: Callable[[], Any], within: float = 20.0) -> Any:
    """What `seen` returns as soon as it is true."""
    deadline = time.monotonic() + within
    while not (result := seen()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)
    return result


def parsed(raw: bytes) -> email.message.Message:
    return email.message_from_bytes(raw)


def ask(server: Server, connection: socket.socket | None = None, **attributes: str) -> str:
    """The action for one question."""
    question = {"request": "smtpd_access_policy", "protocol_state": "RCPT", "instance": "1.2.3"} | attributes
    client = connection or connect(server)
    try:
        client.sendall(("".join(f"{name}={value}\n" for name, value in question.items()) + "\n").encode())
        answer = b""
        while not answer.endswith(b"\n\n"):
            answer += client.recv(4_096)
    finally:
        if connection is None:
            client.close()
    assert answer.startswith(b"action=")
    return answer[7:-2].decode()


def connect(server: Server) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(server.settings.lookup_socket))
    return client
