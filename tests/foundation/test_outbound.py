"""A call to the outside ends in time and size, whatever the other side does."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from foundation.outbound import OutboundError, fetch, new_session

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.fixture
def server() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Start a server whose every connection is answered by the given function; returns its URL."""
    listeners: list[socket.socket] = []

    def start(answer: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_answer, args=(connection, answer), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    for listener in listeners:
        listener.close()


def _answer(connection: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    with connection:
        try:
            connection.recv(65536)
            answer(connection)
        except OSError:
            return


def test_a_reply_comes_back_whole(server):
    url = server(lambda c: c.sendall(HEAD + b"Content-Length: 5\r\n\r\nhello"))
    reply = fetch("POST", url, deadline=5, max_bytes=100, data={"a": "b"})
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"hello", "text/plain")


@pytest.mark.parametrize("part", ["headers", "body"])
def test_one_byte_at_a_time_does_not_outlast_the_deadline(server, part):
    def drip(connection: socket.socket) -> None:
        text = HEAD + b"Content-Length: 500\r\n\r\n" + b"x" * 500
        start = 0 if part == "headers" else len(HEAD) + 24
        connection.sendall(text[:start])
        for byte in text[start:]:
            connection.sendall(bytes([byte]))
            time.sleep(0.2)

    url = server(drip)
    began = time.monotonic()
    with pytest.raises(OutboundError) as caught:
        fetch("GET", url, deadline=1, max_bytes=1000)
    assert caught.value.retry
    assert time.monotonic() - began < 5  # of a hundred


def test_a_deadline_holds_on_a_connection_kept_alive(server):
    def first_fast_then_silent(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\nok")
        connection.recv(65536)
        for _ in range(50):
            connection.sendall(b"H")
            time.sleep(0.2)

    url = server(first_fast_then_silent)
    session = new_session()
    assert fetch("GET", url, deadline=2, max_bytes=10, session=session).body == b"ok"
    began = time.monotonic()
    with pytest.raises(OutboundError):
        fetch("GET", url, deadline=1, max_bytes=10, session=session)
    assert time.monotonic() - began < 5  # of ten


def test_an_overlong_answer_is_refused_early(server):
    def flood(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with pytest.raises(OutboundError, match="longer than"):
        fetch("GET", server(flood), deadline=5, max_bytes=64 * 1024)


def test_a_redirect_is_not_followed(server):
    url = server(
        lambda c: c.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        )
    )
    assert fetch("GET", url, deadline=5, max_bytes=10).status == 302


def test_all_addresses_of_a_name_share_the_deadline(monkeypatch):
    """None of them takes a connection: their queues are full."""
    sockets, port, addresses = [], 0, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
    for address in addresses:
        sockets.append(socket.create_server((address, port), backlog=0))
        port = sockets[-1].getsockname()[1]
        for _ in range(4):
            sockets.append(socket.socket())
            sockets[-1].setblocking(False)
            sockets[-1].connect_ex((address, port))
    real = socket.getaddrinfo

    def found(host, *arguments, **options):
        hosts = addresses if host == "agent.test" else [host]
        return [each for address in hosts for each in real(address, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    began = time.monotonic()
    with pytest.raises(OutboundError, match="within 1 s"):
        fetch("GET", f"http://agent.test:{port}/", deadline=1, max_bytes=100)
    assert time.monotonic() - began < 2.5  # and not three, a second for each
    for each in sockets:
        each.close()


def test_cookies_are_not_kept(server):
    """A session lives as long as its process; what a server had it keep would grow with every answer."""
    url = server(lambda c: c.sendall(HEAD + b"Set-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"))
    session = new_session()
    reply = fetch("GET", url, deadline=5, max_bytes=100, session=session)
    assert "set-cookie" in reply.headers
    assert not len(session.cookies)


def test_nobody_there_is_worth_another_try():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OutboundError) as caught:
        fetch("GET", f"http://127.0.0.1:{port}/", deadline=2, max_bytes=10)
    assert caught.value.retry


def test_proxies_of_the_environment_are_not_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    url = server(lambda c: c.sendall(HEAD + b"Content-Length: 2\r\n\r\nok"))
    assert fetch("GET", url, deadline=5, max_bytes=10).body == b"ok"
