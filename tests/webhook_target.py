"""Somebody's server that takes webhooks: an HTTP server on loopback that checks what it is sent as its owner would."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook as Receiver


@dataclass
class Target:
    """What came, and how it is answered: by `answer(path)`, which may sleep, with a status and a body."""

    host: str
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[str], tuple[int, bytes]] = lambda path: (204, b"")
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.host}/hook"

    def events(self, secret: str) -> list[dict[str, Any]]:
        """What was sent to `url`, each signed with this secret."""
        ours = [call for call in list(self.calls) if call[0][":path"] == "/hook"]
        return [Receiver(secret).verify(body, headers) for headers, body in ours]


@contextmanager
def listening(port: int = 0) -> Iterator[Target]:
    """A target on a port of its own, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            target.calls.append(({**self.headers, ":path": self.path}, body))
            status, text = target.answer(self.path)
            try:
                self.send_response(status)
                for name, value in target.headers.items():
                    self.send_header(name, value)
                unfinished = 1 if "X-Unfinished" in target.headers else 0
                self.send_header("Content-Length", str(len(text) + unfinished))
                self.end_headers()
                self.wfile.write(text)
                if unfinished:
                    time.sleep(2)
            except OSError:
                pass  # the caller did not wait

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads, server.block_on_close = True, False
    target = Target(f"127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield target
    finally:
        server.shutdown()
        server.server_close()


def dawdle(seconds: float) -> Callable[[str], tuple[int, bytes]]:
    """Answers after so long."""

    def answer(path: str) -> tuple[int, bytes]:
        time.sleep(seconds)
        return 204, b""

    return answer
