"""Tells the panel what happened: signed as Stripe signs, sent again until it is taken, and as unreliably as is asked for."""

import http.client
import json
import random
import threading
from typing import Any
from urllib.parse import urlsplit

from stripe import WebhookSignature

from deploy.stripe_stand_in.books import Books
from deploy.stripe_stand_in.errors import Refusal

PAUSES = (
    1,
    2,
    4,
    8,
    16,
    32,
    60,
)  # seconds before an event that was not taken is sent again; then it is given up
PATIENCE = 10


class Webhooks(threading.Thread):
    """Sends what the books owe to `url`. Each is a copy of an event, with a signature of the moment it is sent at."""

    def __init__(self, books: Books, url: str, secret: str) -> None:
        super().__init__(daemon=True)
        self.books, self.url, self.secret = books, url, secret
        self.copies, self.delay, self.hold, self.lose = 1, 0, False, 0
        self.over = threading.Event()

    def change(self, wish: dict[str, Any]) -> None:
        """How from now on: `copies` of each, `delay` in seconds, `hold` all back, `lose` the next ones, or `release`."""
        if strange := wish.keys() - {"copies", "delay", "hold", "lose", "release"}:
            raise Refusal(400, f"Webhooks have no {', '.join(strange)}.")
        for name in wish.keys() - {"release"}:
            setattr(self, name, wish[name])
        if order := wish.get("release"):
            self.hold = False
            if order == "reversed":
                self.books.owed.reverse()
            if order == "shuffled":
                random.shuffle(self.books.owed)

    def run(self) -> None:
        while not self.over.wait(0.05):
            while entry := self._next():
                self._send(entry)

    def _next(self) -> dict[str, Any] | None:
        with self.books.lock:
            if self.hold:
                return None
            now = self.books.clock()
            for entry in self.books.owed:
                if entry["at"] + (self.delay if not entry["attempts"] else 0) <= now:
                    self.books.owed.remove(entry)
                    return entry
        return None

    def _send(self, entry: dict[str, Any]) -> None:
        with self.books.lock:
            if self.lose > 0:
                self.lose -= 1
                return
            event = self.books.objects[entry["event"]]
            body = json.dumps(event)
        taken = [self._post(body) for _ in range(self.copies)]
        with self.books.lock:
            if all(taken):
                event["pending_webhooks"] = 0
            elif entry["attempts"] < len(PAUSES):
                again = self.books.clock() + PAUSES[entry["attempts"]]
                self.books.owed.append({**entry, "attempts": entry["attempts"] + 1, "at": again})
            self.books.save()

    def _post(self, body: str) -> bool:
        target = urlsplit(self.url)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=PATIENCE)
        stamp = WebhookSignature.generate_signature_header(body, self.secret, int(self.books.clock()))
        headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": stamp}
        try:
            connection.request("POST", target.path, body.encode(), headers)
            return 200 <= connection.getresponse().status < 300
        except OSError:
            return False
        finally:
            connection.close()
