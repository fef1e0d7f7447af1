"""A server in the place of a mail server's agent, with its certificate, that answers in one of several bad ways."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator

from tests.e2e.stack import Server, Stack
from tests.e2e.waiting import eventually

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
GARBAGE = HEAD % 64 + bytes(range(192, 256))
# What another server, or the same one long ago or in a far future, would say.
OTHERS = b'{"revision": 9007199254740992, "effective": 9007199254740992}'


def silent(connection: socket.socket) -> None:
    time.sleep(60)


def slow(connection: socket.socket) -> None:
    """One byte a second, of an answer that is right so far."""
    for byte in HEAD % 20 + b" " * 20:
        connection.sendall(bytes([byte]))
        time.sleep(1)


def garbage(connection: socket.socket) -> None:
    connection.sendall(GARBAGE)


def endless(connection: socket.socket) -> None:
    """A gigabyte."""
    connection.sendall(HEAD % 2**30)
    for _ in range(2**10):
        connection.sendall(b" " * 2**20)


def of_another(connection: socket.socket) -> None:
    connection.sendall(HEAD % len(OTHERS) + OTHERS)


BAD_WAYS = [silent, slow, garbage, endless, of_another]


@contextlib.contextmanager
def in_place_of_agent(stack: Stack, server: Server, answer: object) -> Iterator[None]:
    """Until the block ends, whoever calls the agent of this server gets `answer` (one of BAD_WAYS)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.directory / "agent" / "agent.pem")
    with stack.held_down(f"{server.short}-agent"):
        listener = eventually(lambda: socket.create_server(server.agent), 30, every=0.01)
        thread = threading.Thread(target=_serve, args=(listener, context, answer), daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()


def _serve(listener: socket.socket, context: ssl.SSLContext, answer: object) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection, context, answer), daemon=True).start()


def _answer(connection: socket.socket, context: ssl.SSLContext, answer: object) -> None:
    assert callable(answer)
    with (
        contextlib.suppress(OSError),
        connection,
        context.wrap_socket(connection, server_side=True) as secured,
    ):
        secured.recv(2**16)
        answer(secured)
