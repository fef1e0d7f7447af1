"""Signing in by IMAP, POP3 and ManageSieve, and the end of open sessions."""

import asyncio
import base64
import imaplib
import json
import poplib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from secrets import token_hex

import pytest

from mailnode.sessions import Sessions, SessionsError
from tests.mailnode.clients import imap, pop3, trusting, until
from tests.mailnode.server import Server, gone, mailbox, password_hash, state

ANNA = "anna@acme.test"
QUIET_HASH = password_hash("quiet-secret")


def ends(session: imaplib.IMAP4 | poplib.POP3) -> bool:
    """Whether the server has ended a session."""
    try:
        session.noop()
    except (imaplib.IMAP4.error, poplib.error_proto, OSError, EOFError):
        return True
    return False


def pop3_sign_in(session: poplib.POP3, user: str, password: str) -> None:
    session.user(user)
    session.pass_(password)


def signs_in(server: Server, user: str, password: str) -> bool:
    try:
        imap(server, user, password).logout()
    except imaplib.IMAP4.error:
        return False
    return True


def size_of_inbox(server: Server, user: str, password: str) -> int:
    """How many messages lie there, as soon as a session lasts for so long: one that begins soon after others were ended
    may be ended with them.
    """

    def look() -> list[bytes]:
        try:
            return imap(server, user, password).select("INBOX")[1]
        except imaplib.IMAP4.abort:
            return []

    return int(until(look)[0])


def test_imap_and_pop3_by_starttls(mail_server: Server) -> None:
    client = imaplib.IMAP4("127.0.0.1", mail_server.ports["imap"])
    client.starttls(trusting(mail_server))
    assert client.login(ANNA, "anna-secret")[0] == "OK"
    folders = b" ".join(client.list()[1])
    assert all(name in folders for name in (b"Drafts", b"Junk", b"Sent", b"Trash"))
    client.logout()
    pop = poplib.POP3("127.0.0.1", mail_server.ports["pop3"])
    pop.stls(trusting(mail_server))
    pop.user(ANNA)
    assert pop.pass_("anna-secret").startswith(b"+OK")
    pop.quit()


def test_no_sign_in_without_tls_even_from_the_servers_own_address(mail_server: Server) -> None:
    client = imaplib.IMAP4("127.0.0.1", mail_server.ports["imap"])
    with pytest.raises(imaplib.IMAP4.error):
        client.login(ANNA, "anna-secret")
    pop = poplib.POP3("127.0.0.1", mail_server.ports["pop3"])
    with pytest.raises(poplib.error_proto):
        pop3_sign_in(pop, ANNA, "anna-secret")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("entrance", ["imaps", "pop3s", "submissions"])
def test_no_tls_before_1_2(mail_server: Server, entrance: str) -> None:
    context = trusting(mail_server)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", mail_server.ports[entrance])) as raw,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(raw, server_hostname="127.0.0.1")
    context = trusting(mail_server)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", mail_server.ports[entrance])) as raw:
        assert context.wrap_socket(raw, server_hostname="127.0.0.1").cipher()[0].startswith("ECDHE-ECDSA-")


@pytest.mark.parametrize(
    ("kind", "subject"), [("mailbox", ANNA), ("domain", "acme.test"), ("customer", "acme")]
)
def test_a_suspension_ends_sessions_and_stops_sign_in(mail_server: Server, kind: str, subject: str) -> None:
    sessions = [imap(mail_server, ANNA, "anna-secret"), pop3(mail_server, ANNA, "anna-secret")]
    other = imap(mail_server, "mallory@mal.test", "mallory-secret")
    mail_server.push(state(subject, kind, "sign_in"))
    for session in sessions:
        until(lambda session=session: ends(session))
    assert not ends(other)
    assert not signs_in(mail_server, ANNA, "anna-secret")
    mail_server.push(gone("state", f"state of {subject}"))
    until(lambda: signs_in(mail_server, ANNA, "anna-secret"))


@pytest.fixture
def quiet(mail_server: Server) -> Iterator[str]:
    """A mailbox of which nothing was ended before: a sign-in soon after that may be ended once more."""
    address = f"quiet{token_hex(4)}@acme.test"
    mail_server.push(mailbox(address, secret=QUIET_HASH))
    yield address
    mail_server.push(gone("mailbox", address))


def test_a_suspension_that_leaves_sign_in_ends_nothing(mail_server: Server, quiet: str) -> None:
    session = imap(mail_server, quiet, "quiet-secret")
    mail_server.push(state(quiet, "mailbox", "send", "receive"))
    assert not ends(session)
    mail_server.push(gone("state", f"state of {quiet}"))


def test_another_password_ends_sessions(mail_server: Server) -> None:
    session = imap(mail_server, ANNA, "anna-secret")
    mail_server.push(mailbox(ANNA, secret=password_hash("anna-other")))
    until(lambda: ends(session))
    assert not signs_in(mail_server, ANNA, "anna-secret")
    until(lambda: signs_in(mail_server, ANNA, "anna-other"))
    mail_server.push(mailbox(ANNA, secret=password_hash("anna-secret")))


def test_another_quota_ends_no_session(mail_server: Server, quiet: str) -> None:
    session = imap(mail_server, quiet, "quiet-secret")
    mail_server.push(mailbox(quiet, quota=10**9, secret=QUIET_HASH))
    assert not ends(session)


def test_a_deletion_ends_sessions_and_a_new_mailbox_of_the_name_is_empty(mail_server: Server) -> None:
    mail_server.push(mailbox("emil@acme.test", secret=password_hash("emil-secret")))
    session = imap(mail_server, "emil@acme.test", "emil-secret")
    session.append("INBOX", None, None, b"Subject: old\r\n\r\nold\r\n")
    mail_server.push(gone("mailbox", "emil@acme.test"))
    until(lambda: ends(session))
    assert not signs_in(mail_server, "emil@acme.test", "emil-secret")
    mail_server.push(mailbox("emil@acme.test", secret=password_hash("emil-secret"), key="another emil"))
    assert size_of_inbox(mail_server, "emil@acme.test", "emil-secret") == 0
    mail_server.push(gone("mailbox", "another emil"))
    mail_server.push(mailbox("emil@acme.test", secret=password_hash("emil-secret")))
    assert size_of_inbox(mail_server, "emil@acme.test", "emil-secret") == 1


def test_many_sessions_at_once(mail_server: Server, quiet: str) -> None:
    """Dovecot's answer to `who` has another shape from two rows on."""
    mail_server.push(mailbox("fred@acme.test", secret=password_hash("fred-secret")))
    sessions = [imap(mail_server, "fred@acme.test", "fred-secret") for _ in range(3)]
    sessions += [pop3(mail_server, "fred@acme.test", "fred-secret")]
    others = [
        imap(mail_server, quiet, "quiet-secret"),
        imap(mail_server, "mallory@mal.test", "mallory-secret"),
    ]
    mail_server.push(state("fred@acme.test", "mailbox", "sign_in"))
    for session in sessions:
        until(lambda session=session: ends(session))
    assert not any(ends(other) for other in others)


def test_the_agents_way_into_dovecot_opens_no_mail(mail_server: Server) -> None:
    key = (mail_server.settings.agent_directory / "doveadm.key").read_text().strip()
    fetch = [["fetch", {"user": ANNA, "field": ["text"], "query": ["ALL"]}, "1"]]

    def call(command: object, secret: str) -> str:
        authorization = "X-Dovecot-API " + base64.b64encode(secret.encode()).decode()
        argv = ["curl", "--silent", "--unix-socket", str(mail_server.settings.doveadm_socket), "--data", "@-"]
        argv += ["--header", f"Authorization: {authorization}", "--header", "Content-Type: application/json"]
        argv += ["http://dovecot/doveadm/v1"]
        return subprocess.run(argv, input=json.dumps(command), capture_output=True, text=True).stdout

    assert "doveadmResponse" in call([["who", {}, "1"]], key)
    assert "unAuthorized" in call(fetch, key)
    assert "doveadmResponse" not in call([["who", {}, "1"]], "wrong")


def test_status_sees_every_daemon(mail_server: Server) -> None:
    services = {service.name: service.running for service in mail_server.status().services}
    assert services == dict.fromkeys(
        ("agent", "keeper", "postfix", "dovecot", "rspamd", "redis", "lookup"), True
    )


def test_only_an_absent_dovecot_means_that_there_is_no_session(server: Server) -> None:
    sessions = Sessions(server.settings)
    assert asyncio.run(sessions.who()) == set()
    server.settings.doveadm_socket.parent.rmdir()
    server.settings.doveadm_socket.parent.touch()
    with pytest.raises(SessionsError):
        asyncio.run(sessions.who())
