"""Send limits with a real Postfix, Dovecot and Rspamd."""

import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.mailnode.clients import GTUBE, message, send, sign_in, until
from tests.mailnode.conftest import peopled
from tests.mailnode.server import Server, password_hash
from tests.mailnode.test_send_limits import client_of, kill, limited, sent

mail_server = pytest.fixture(scope="module", name="mail_server")(peopled)  # counts are nobody else's
BOB, MALLORY = "bob@acme.test", "mallory@mal.test"
NAMES = iter(f"user{number}@acme.test" for number in range(100))
SECRET = password_hash("user-secret")


@pytest.fixture
def user(mail_server: Server) -> str:
    """A mailbox that has not sent yet and may send to 6 recipients a day."""
    address = next(NAMES)
    mail_server.push(limited(address, sends_per_day=6, password_hash=SECRET))
    return address


def swaks(server: Server, user: str, *recipients: str, **more: str) -> int:
    """Send a message; the first digit of the exit code's kind: 0 when it was accepted."""
    command = ["swaks", "--server", f"127.0.0.1:{server.ports['submission']}", "--tls", "--auth", "PLAIN"]
    command += ["--auth-user", user, "--auth-password", "user-secret", "--from", user]
    command += ["--to", ",".join(recipients), "--silent", "3"]
    command += [word for name, value in more.items() for word in (f"--{name}", value)]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode


def from_user(server: Server, user: str, *recipients: str, **parts: str) -> tuple[int, str]:
    with sign_in(server, user, "user-secret") as client:
        return send(client, user, recipients, message(user, recipients[0], **parts))


def room(server: Server, user: str) -> int:
    """How many recipients there is room for, without using it up."""
    with sign_in(server, user, "user-secret") as client:
        client.mail(user)
        return sum(client.rcpt(BOB)[0] == 250 for _ in range(7))


def test_counted_for_each_recipient(mail_server: Server, user: str) -> None:
    assert from_user(mail_server, user, BOB, MALLORY, "x@elsewhere.example", BOB)[0] == 250
    until(lambda: sent(mail_server, user) == (4, 4))
    assert swaks(mail_server, user, BOB) == 0
    with sign_in(mail_server, user, "user-secret") as client:
        client.mail(user)
        assert client.rcpt(BOB)[0] == 250
        code, text = client.rcpt(BOB)
        assert (code, text[:5]) == (450, b"4.7.1")
        assert b"6 recipients a day; again from" in text
        assert client.data(message(user, BOB))[0] == 250  # to whom there was room for
    assert swaks(mail_server, user, BOB) != 0
    until(lambda: sent(mail_server, user) == (6, 6))


def test_another_customer_is_not_touched(mail_server: Server, user: str) -> None:
    mail_server.push(client_of("acme", sends_per_day=0))
    try:
        assert from_user(mail_server, user, BOB)[0] == 450
        with sign_in(mail_server, MALLORY, "mallory-secret") as client:
            assert send(client, MALLORY, [BOB], message(MALLORY, BOB))[0] == 250
    finally:
        mail_server.push(client_of("acme"))


def test_refused_by_the_filter(mail_server: Server, user: str) -> None:
    assert from_user(mail_server, user, *[BOB] * 6, body=GTUBE)[0] == 554
    until(lambda: sent(mail_server, user) == (0, 0))
    assert room(mail_server, user) == 6


@pytest.mark.parametrize("how", ["RSET", "QUIT", "the connection breaks", "in the middle of the data"])
def test_broken_off(mail_server: Server, user: str, how: str) -> None:
    client = sign_in(mail_server, user, "user-secret")
    client.mail(user)
    assert [client.rcpt(BOB)[0] for _ in range(7)] == [250] * 6 + [450]
    if how == "RSET":
        client.rset()
        assert send(client, user, [BOB] * 6, message(user, BOB))[0] == 250
        client.quit()
        return
    if how == "QUIT":
        client.quit()
    elif how == "in the middle of the data":
        assert client.docmd("DATA")[0] == 354
        client.send("From: half\r\n\r\nwhat comes then is")
    client.close()
    until(lambda: room(mail_server, user) == 6)
    until(lambda: from_user(mail_server, user, *[BOB] * 6)[0] == 250)  # that look held the room, too


def test_too_large(mail_server: Server, user: str) -> None:
    """Its size is not announced: it is refused at its end, before anybody asks."""
    with sign_in(mail_server, user, "user-secret") as client:
        assert (
            send(client, user, [BOB] * 6, message(user, BOB, body=("x" * 900 + "\r\n") * 60_000), size=False)[
                0
            ]
            == 552
        )
        assert send(client, user, [BOB] * 6, message(user, BOB))[0] == 250


def test_many_connections_at_once(mail_server: Server, user: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: swaks(mail_server, user, BOB), range(20)))
    assert codes.count(0) == 6
    until(lambda: sent(mail_server, user) == (6, 6))


def test_the_service_is_killed_in_the_middle_of_a_message(mail_server: Server, user: str) -> None:
    assert from_user(mail_server, user, *[BOB] * 4)[0] == 250
    until(lambda: sent(mail_server, user) == (4, 4))
    with sign_in(mail_server, user, "user-secret") as client:
        client.mail(user)
        assert [client.rcpt(BOB)[0] for _ in range(3)] == [250, 250, 450]
        kill(mail_server)
        assert client.data(message(user, BOB))[0] == 250
        assert client.mail(user)[0] == 250
        assert client.rcpt(BOB)[0] == 450
    until(lambda: sent(mail_server, user) == (6, 6))


def test_away_is_never_unlimited(mail_server: Server, user: str) -> None:
    mail_server.stop("lookup", with_signal=signal.SIGKILL)
    try:
        assert from_user(mail_server, user, BOB)[0] == 451
    finally:
        mail_server.start("lookup")
    assert from_user(mail_server, user, BOB)[0] == 250


def test_an_open_session_lasts(mail_server: Server, user: str) -> None:
    """Message after message on one connection, each with questions of its own."""
    with sign_in(mail_server, user, "user-secret") as client:
        codes = [send(client, user, [BOB, "x@elsewhere.example"], message(user, BOB))[0] for _ in range(4)]
    assert codes == [250, 250, 250, 450]
