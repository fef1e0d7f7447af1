"""Mail programs: what they send over SMTP, and how they read it over IMAP and POP3."""

import contextlib
import imaplib
import poplib
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from secrets import token_hex

from tests.e2e.stack import Server, Stack
from tests.e2e.waiting import eventually

TIMEOUT = 60  # seconds; Postfix asks a policy service that is away twice before it answers


@dataclass(frozen=True)
class Account:
    """A mailbox as its owner knows it: address, password and mail server."""

    stack: Stack
    address: str
    password: str
    server: Server

    def with_password(self, password: str) -> "Account":
        return Account(self.stack, self.address, password, self.server)


def letter(sender: str, recipient: str, subject: str = "", text: str = "Good day.\n") -> EmailMessage:
    """An ordinary message, with the headers that a mail program writes."""
    message = EmailMessage()
    message["From"], message["To"] = sender, recipient
    message["Subject"] = subject or f"Letter {token_hex(6)}"
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message.set_content(text)
    return message


@contextlib.contextmanager
def submission(account: Account, service: str = "submission") -> Iterator[smtplib.SMTP]:
    """A signed-in SMTP session, over TLS from the start (`submissions`) or by STARTTLS."""
    with unsigned_submission(account.stack, account.server, service) as client:
        client.login(account.address, account.password)
        yield client


@contextlib.contextmanager
def unsigned_submission(stack: Stack, server: Server, service: str = "submission") -> Iterator[smtplib.SMTP]:
    """An SMTP session at a submission port, over TLS and not signed in."""
    client: smtplib.SMTP
    if service == "submissions":
        client = smtplib.SMTP_SSL(*server.at(service), timeout=TIMEOUT, context=stack.tls)
    else:
        client = smtplib.SMTP(*server.at(service), timeout=TIMEOUT)
        client.starttls(context=stack.tls)
    client.ehlo("laptop.client.test")
    with closing(client):
        yield client


@contextlib.contextmanager
def stranger(server: Server) -> Iterator[smtplib.SMTP]:
    """Another mail server that connects to port 25."""
    client = smtplib.SMTP(*server.at("smtp"), timeout=TIMEOUT)
    client.ehlo("mail.elsewhere.test")
    with closing(client):
        yield client


@contextlib.contextmanager
def closing(client: smtplib.SMTP) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            client.quit()
        client.close()


def send(
    account: Account, recipient: str, message: EmailMessage | None = None, service: str = "submission"
) -> str:
    """Send a letter to `recipient`; its subject."""
    message = message or letter(account.address, recipient)
    with submission(account, service) as client:
        refused = client.send_message(message, account.address, [recipient])
    assert not refused, refused
    return str(message["Subject"])


def send_as_stranger(server: Server, recipient: str, message: EmailMessage | None = None) -> str:
    """Hand a letter in on port 25; its subject."""
    message = message or letter("friend@elsewhere.test", recipient)
    with stranger(server) as client:
        assert not client.send_message(message, to_addrs=[recipient])
    return str(message["Subject"])


@contextlib.contextmanager
def imap(account: Account, *, implicit_tls: bool = True) -> Iterator[imaplib.IMAP4]:
    """A signed-in IMAP session, by TLS from the start or by STARTTLS."""
    client = imap_session(account, implicit_tls=implicit_tls)
    try:
        yield client
    finally:
        with contextlib.suppress(imaplib.IMAP4.error, OSError):
            client.logout()


def imap_session(account: Account, *, implicit_tls: bool = True) -> imaplib.IMAP4:
    """The same, to be closed by who asked for it. Raises imaplib.IMAP4.error where sign-in is refused."""
    client: imaplib.IMAP4
    if implicit_tls:
        client = imaplib.IMAP4_SSL(
            *account.server.at("imaps"), ssl_context=account.stack.tls, timeout=TIMEOUT
        )
    else:
        client = imaplib.IMAP4(*account.server.at("imap"), timeout=TIMEOUT)
        client.starttls(ssl_context=account.stack.tls)
    client.login(account.address, account.password)
    return client


def pop3(account: Account, *, implicit_tls: bool = True) -> poplib.POP3:
    """A signed-in POP3 session."""
    client: poplib.POP3
    if implicit_tls:
        client = poplib.POP3_SSL(*account.server.at("pop3s"), context=account.stack.tls, timeout=TIMEOUT)
    else:
        client = poplib.POP3(*account.server.at("pop3"), timeout=TIMEOUT)
        client.stls(context=account.stack.tls)
    client.user(account.address)
    client.pass_(account.password)
    return client


def folder(client: imaplib.IMAP4, name: str = "INBOX") -> dict[str, bytes]:
    """The messages of a folder as they lie there, by subject; AssertionError where there is no such folder yet."""
    assert client.select(name, readonly=True)[0] == "OK", f"no folder {name}"
    numbers = client.search(None, "ALL")[1][0].split()
    messages = [client.fetch(number.decode(), "(RFC822)")[1][0][1] for number in numbers]  # type: ignore[index]
    return {str(message_from_bytes(raw, policy=policy.default)["Subject"]): raw for raw in messages}


def arrived(account: Account, subject: str, *, name: str = "INBOX", seconds: float = 30) -> bytes:
    """The message with this subject, as soon as it lies in the folder. One sign-in, unless the server ends it."""
    client: imaplib.IMAP4 | None = None

    def look() -> bytes | None:
        nonlocal client
        try:
            client = client or imap_session(account)
            return folder(client, name).get(subject)
        except (imaplib.IMAP4.abort, OSError) as broken:
            client = None
            raise ConnectionError(str(broken)) from broken

    try:
        return eventually(look, seconds, every=0.3) or b""
    finally:
        with contextlib.suppress(imaplib.IMAP4.error, OSError):
            if client:
                client.logout()


def fetched_by_pop3(account: Account, *, implicit_tls: bool = True) -> dict[str, bytes]:
    """Every message that POP3 offers, by subject; nothing is deleted."""
    client = pop3(account, implicit_tls=implicit_tls)
    count = client.stat()[0]
    raw = [b"\r\n".join(client.retr(number)[1]) + b"\r\n" for number in range(1, count + 1)]
    client.quit()
    return {str(message_from_bytes(one, policy=policy.default)["Subject"]): one for one in raw}
