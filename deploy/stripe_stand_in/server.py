"""The stand-in over HTTP: the API below `/v1/`, people's pages below `/c/pay/`, switches below `/stand-in/`."""

import json
import secrets
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import stripe

from deploy.stripe_stand_in import pages
from deploy.stripe_stand_in.books import Books
from deploy.stripe_stand_in.disputes import decide_dispute
from deploy.stripe_stand_in.errors import Refusal
from deploy.stripe_stand_in.expanding import expanded
from deploy.stripe_stand_in.faults import Faults, Replies
from deploy.stripe_stand_in.parameters import decoded
from deploy.stripe_stand_in.payments import change_card
from deploy.stripe_stand_in.refunds import settle_due
from deploy.stripe_stand_in.routes import route_of
from deploy.stripe_stand_in.sessions import expire_due
from deploy.stripe_stand_in.webhooks import Webhooks

MAX_BODY = 256 * 1024
PAY = "/c/pay/"
Reply = tuple[int, dict[str, Any]]


class NoReply(Exception):
    """The connection is to be closed without one."""


class Handler(BaseHTTPRequestHandler):
    """One HTTP request."""

    server: "Server"
    protocol_version = "HTTP/1.1"
    server_version = "StripeStandIn"
    sys_version = ""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith(PAY):
            with self.server.books.lock:
                return self._answer_page(lambda: pages.show(self.server.books, url.path.removeprefix(PAY)))
        self._answer(url.path, url.query)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            return self._send_json(413, {"error": {"message": "Too long.", "type": "invalid_request_error"}})
        body = self.rfile.read(int(length)).decode("utf-8", "replace")
        path = urlsplit(self.path).path
        if path.startswith(PAY):
            with self.server.books.lock:
                self._answer_page(lambda: pages.pay(self.server.books, path.removeprefix(PAY), body))
                return self.server.books.save()
        self._answer(path, body)

    do_DELETE = do_GET

    def _answer(self, path: str, encoded: str) -> None:
        try:
            self._check_key()
            status, body = (
                self._switch(path, encoded) if path.startswith("/stand-in/") else self._call(path, encoded)
            )
        except Refusal as refusal:
            status, body = refusal.status, refusal.body
        except NoReply:
            status, body = 0, {}
        sys.stderr.write(f"{self.command} {path} {status or 'no reply'}\n")
        if status:
            self._send_json(status, body)
        else:
            self.close_connection = True

    def _check_key(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.server.secret_key}":
            raise Refusal(401, "Invalid API Key provided.")

    def _call(self, path: str, encoded: str) -> Reply:
        """One call of the API, with its fault if it is to meet one."""
        version = self.headers.get("Stripe-Version", stripe.api_version)
        if version != stripe.api_version:
            raise Refusal(
                400, f"Invalid Stripe API version: {version}. This stand-in plays {stripe.api_version}."
            )
        fault = self.server.take_fault(f"{self.command} {path}")
        kind = fault.get("fault", "")
        if kind == "unreached":
            raise NoReply
        if kind == "429":
            raise Refusal(429, "Too many requests hit the API too quickly.", code="rate_limit")
        if kind == "409":
            raise Refusal(
                409, "This object cannot be accessed right now: another request has it.", code="lock_timeout"
            )
        if kind == "503":
            raise Refusal(503, "Stripe is not there for a moment.", kind="api_error")
        key = self.headers.get("Idempotency-Key", "") if self.command == "POST" else ""
        reply = self._once(key, path, encoded, fault)
        if kind == "lost":
            raise NoReply
        return reply

    def _once(self, key: str, path: str, encoded: str, fault: dict[str, Any]) -> Reply:
        """The reply of before under the same key, or a new one, which is kept."""
        books, replies = self.server.books, self.server.replies
        with books.lock:
            if key and (known := replies.begin(key, path, encoded)):
                return known
        reply: Reply | None = None
        try:
            if fault.get("fault") == "slow":
                time.sleep(fault["seconds"])
            with books.lock:
                reply = self._do(path, encoded, fault)
                return reply
        finally:
            with books.lock:
                replies.end(key, path, encoded, reply)
                if self.command == "POST":
                    books.save()

    def _do(self, path: str, encoded: str, met: dict[str, Any]) -> Reply:
        books, fault = self.server.books, met.get("fault", "")
        _pass_time(books)
        route, which = route_of(self.command, path)
        params = route.read(decoded(encoded))
        wanted = params.pop("expand", [])
        failed = Refusal(500, "An unknown error occurred.", kind="api_error")
        if fault == "500":
            return failed.status, failed.body
        try:
            if fault == "refused":
                raise Refusal(400, "It is refused on purpose.", code=met.get("code", ""))
            found = route.act(books, which, params)
            return (
                (failed.status, failed.body)
                if fault == "500-after"
                else (200, expanded(books, found, wanted))
            )
        except Refusal as refusal:
            # Kept as JSON would be: what it shows of objects stays as it is now.
            return refusal.status, json.loads(json.dumps(refusal.body))

    def _switch(self, path: str, body: str) -> Reply:
        server, wish = self.server, json.loads(body or "{}")
        with server.books.lock:
            if path == "/stand-in/faults":
                server.faults.add(wish)
            elif path == "/stand-in/webhooks":
                server.webhooks.change(wish)
            elif path == "/stand-in/clock":
                server.books.advanced += int(wish["advance"])
                _pass_time(server.books)
            elif path == "/stand-in/cards":
                change_card(server.books, wish)
            elif path == "/stand-in/disputes":
                decide_dispute(server.books, wish)
            elif path != "/stand-in/sums":
                raise Refusal(404, "There is no such switch.")
            return 200, {"sums": server.books.sums(), "owed": len(server.books.owed)}

    def _answer_page(self, page: Any) -> None:
        try:
            _pass_time(self.server.books)
            answer = page()
        except Refusal as refusal:
            answer = pages.Answer(
                refusal.status, "<!doctype html><title>Nothing here</title><p>There is nothing here."
            )
        self._send(
            answer.status, answer.html.encode(), "text/html; charset=utf-8", {"Location": answer.location}
        )

    def _send_json(self, status: int, body: dict[str, Any]) -> None:
        headers = {"Request-Id": f"req_{secrets.token_hex(7)}", "Stripe-Version": stripe.api_version}
        headers["Idempotency-Key"] = self.headers.get("Idempotency-Key", "")
        self._send(status, json.dumps(body).encode(), "application/json", headers)

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silence: what is worth a line is written where it is answered."""


def _pass_time(books: Books) -> None:
    """What happens by itself, up to now."""
    expire_due(books)
    settle_due(books)


class Server(ThreadingHTTPServer):
    """The stand-in at one address. `webhook_url` empty: events are kept and nobody is told."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        host: str,
        port: int,
        secret_key: str,
        webhook_secret: str,
        webhook_url: str = "",
        file: Path | None = None,
    ) -> None:
        super().__init__((host, port), Handler)
        self.secret_key = secret_key
        self.books = Books(file)
        self.books.base = f"http://{host}:{self.server_port}"
        self.faults, self.replies = Faults(), Replies(self.books)
        self.webhooks = Webhooks(self.books, webhook_url, webhook_secret)
        if webhook_url:
            self.webhooks.start()

    def take_fault(self, call: str) -> dict[str, Any]:
        with self.books.lock:
            return self.faults.take(call)

    def server_close(self) -> None:
        self.webhooks.over.set()
        super().server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
