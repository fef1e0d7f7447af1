"""What goes wrong on purpose, and Stripe's rules for a request that is repeated under its idempotency key."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from deploy.stripe_stand_in.books import Books
from deploy.stripe_stand_in.errors import Refusal

KINDS = frozenset({"lost", "unreached", "409", "429", "500", "500-after", "503", "slow", "refused"})
KEPT = 24 * 3600  # seconds that an idempotency key is good for


@dataclass
class Faults:
    """Those that wait for the next calls; each is for calls whose method and path begin with `on`."""

    waiting: list[dict[str, Any]] = field(default_factory=list)

    def add(self, wishes: list[dict[str, Any]]) -> None:
        for wish in wishes:
            if wish.get("fault") not in KINDS:
                raise Refusal(400, f"No such fault. There are: {', '.join(sorted(KINDS))}.")
            self.waiting.append({"on": "", "times": 1, "seconds": 1, **wish})

    def take(self, call: str) -> dict[str, Any]:
        """The fault that this call meets; empty for none."""
        for wish in self.waiting:
            if call.startswith(wish["on"]):
                wish["times"] -= 1
                if wish["times"] <= 0:
                    self.waiting.remove(wish)
                return wish
        return {}


class Replies:
    """What was answered under each key. A request that was refused before it was begun leaves nothing behind."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.under_way: set[str] = set()

    def begin(self, key: str, path: str, encoded: str) -> tuple[int, dict[str, Any]] | None:
        """The reply of before; None where this request is the first one. Refusal where the key is used otherwise."""
        asked = hashlib.sha256(encoded.encode()).hexdigest()
        if key in self.under_way:
            text = f"There is currently another in-progress request using this Idempotent Key: {key}"
            raise Refusal(409, text, kind="idempotency_error", code="idempotency_key_in_use")
        known = self.books.replies.get(key)
        if known and known["at"] + KEPT > self.books.now():
            if known["path"] != path:
                text = f"Keys for idempotent requests can only be used for the same endpoint ('{known['path']}')."
                raise Refusal(400, text, kind="idempotency_error")
            if known["asked"] != asked:
                text = "Keys for idempotent requests can only be used with the same parameters they were first used with."
                raise Refusal(400, text, kind="idempotency_error")
            return known["status"], known["body"]
        self.under_way.add(key)
        return None

    def end(self, key: str, path: str, encoded: str, reply: tuple[int, dict[str, Any]] | None) -> None:
        """Keep the reply; None where the request was not begun."""
        self.under_way.discard(key)
        if key and reply:
            status, body = reply
            asked = hashlib.sha256(encoded.encode()).hexdigest()
            self.books.replies[key] = {
                "path": path, "asked": asked, "status": status, "body": body, "at": self.books.now()
            }  # fmt: skip
