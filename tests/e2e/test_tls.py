"""Sign-in only after TLS, and TLS only from version 1.2 on."""

import contextlib
import imaplib
import poplib
import smtplib
import socket
import ssl
from collections.abc import Callable

import pytest

from tests.e2e.mail import Account
from tests.e2e.stack import Server, Stack

# Dovecot takes a connection from its own address for a safe one, so the client comes from another.
ELSEWHERE = ("127.0.0.2", 0)
TIMEOUT = 20


@pytest.fixture(params=["mx1", "mx2"])
def server(stack: Stack, request: pytest.FixtureRequest) -> Server:
    return next(server for server in stack.servers if server.short == request.param)


@pytest.mark.parametrize("service", ["submission", "submission_alt", "smtp"])
def test_smtp_refuses_sign_in_without_tls(anna: Account, server: Server, service: str) -> None:
    with smtplib.SMTP(*server.at(service), timeout=TIMEOUT, source_address=ELSEWHERE) as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        assert client.docmd("AUTH", "PLAIN AGFubmFAYWNtZS50ZXN0AHNlY3JldA==")[0] in (503, 530)
        if service != "smtp":
            assert client.docmd("MAIL", "FROM:<anna@acme.test>")[0] == 530


def test_port_25_takes_no_sign_in_after_tls_either(stack: Stack, server: Server) -> None:
    with smtplib.SMTP(*server.at("smtp"), timeout=TIMEOUT) as client:
        client.starttls(context=stack.tls)
        client.ehlo()
        assert "auth" not in client.esmtp_features


def test_imap_refuses_sign_in_without_tls(anna: Account) -> None:
    with socket.create_connection(anna.server.at("imap"), TIMEOUT, ELSEWHERE) as sock:
        file = sock.makefile("rb")
        assert b"LOGINDISABLED" in file.readline()
        sock.sendall(f'a LOGIN "{anna.address}" "{anna.password}"\r\n'.encode())
        answer = file.readline()
        while not answer.startswith(b"a "):
            answer = file.readline()
        assert answer.startswith((b"a NO", b"a BAD")), answer


def test_pop3_refuses_sign_in_without_tls(anna: Account) -> None:
    with socket.create_connection(anna.server.at("pop3"), TIMEOUT, ELSEWHERE) as sock:
        file = sock.makefile("rb")
        file.readline()
        sock.sendall(f"USER {anna.address}\r\nPASS {anna.password}\r\n".encode())
        assert file.readline().startswith(b"-ERR")


def test_managesieve_refuses_sign_in_without_tls(anna: Account) -> None:
    with socket.create_connection(anna.server.at("sieve"), TIMEOUT, ELSEWHERE) as sock:
        file, greeting = sock.makefile("rb"), b""
        while b"OK" not in greeting[-40:]:
            greeting += file.readline()
        assert b'"SASL" ""' in greeting
        sock.sendall(b'AUTHENTICATE "PLAIN" "AGFubmFAYWNtZS50ZXN0AHNlY3JldA=="\r\n')
        assert file.readline().startswith(b"NO")


def smtp(server: Server, context: ssl.SSLContext) -> None:
    with smtplib.SMTP(*server.at("smtp"), timeout=TIMEOUT) as client:
        client.starttls(context=context)


def submission(server: Server, context: ssl.SSLContext) -> None:
    with smtplib.SMTP(*server.at("submission"), timeout=TIMEOUT) as client:
        client.starttls(context=context)


def submissions(server: Server, context: ssl.SSLContext) -> None:
    smtplib.SMTP_SSL(*server.at("submissions"), timeout=TIMEOUT, context=context).close()


def imap(server: Server, context: ssl.SSLContext) -> None:
    client = imaplib.IMAP4(*server.at("imap"), timeout=TIMEOUT)
    with contextlib.closing(client.socket()):
        client.starttls(ssl_context=context)


def imaps(server: Server, context: ssl.SSLContext) -> None:
    imaplib.IMAP4_SSL(*server.at("imaps"), timeout=TIMEOUT, ssl_context=context).shutdown()


def pop3s(server: Server, context: ssl.SSLContext) -> None:
    poplib.POP3_SSL(*server.at("pop3s"), timeout=TIMEOUT, context=context).close()


def pop3(server: Server, context: ssl.SSLContext) -> None:
    client = poplib.POP3(*server.at("pop3"), timeout=TIMEOUT)
    try:
        client.stls(context=context)
    finally:
        client.sock.close()


@pytest.mark.parametrize(
    "way", [smtp, submission, submissions, imap, imaps, pop3, pop3s], ids=lambda f: f.__name__
)
def test_tls_1_1_is_refused_and_1_2_is_taken(
    stack: Stack, server: Server, way: Callable[[Server, ssl.SSLContext], None]
) -> None:
    way(server, of_version(stack, ssl.TLSVersion.TLSv1_2))
    with pytest.raises(ssl.SSLError) as refused:
        way(server, of_version(stack, ssl.TLSVersion.TLSv1_1))
    own_refusal = ("NO_PROTOCOLS_AVAILABLE", "UNSUPPORTED_PROTOCOL", "NO_CIPHERS_AVAILABLE")
    assert refused.value.reason not in own_refusal, "this client refused before the server was asked"


def of_version(stack: Stack, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that speaks this version alone, with every cipher suite it ever had."""
    context = ssl.create_default_context(cafile=stack.facts["tls_ca"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        pytest.warns(DeprecationWarning, match="TLS")
        if version < ssl.TLSVersion.TLSv1_2
        else contextlib.nullcontext()
    ):
        context.minimum_version = context.maximum_version = version
    return context
