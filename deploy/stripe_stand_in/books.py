"""Everything the stand-in knows: objects, events, replies by idempotency key; in memory and, where asked, in one file."""

import copy
import json
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import stripe

from deploy.stripe_stand_in.errors import Refusal, no_such
from deploy.stripe_stand_in.shapes import shape

MOST_LISTED = 100
Object = dict[str, Any]


class Books:
    """Shared by the server's threads: whoever reads or writes holds `lock`. `base` is where browsers reach the server."""

    def __init__(self, file: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.lock = threading.RLock()
        self.file, self.clock, self.base = file, clock, ""
        self.advanced = 0
        self.objects: dict[str, Object] = {}  # by id, oldest first
        self.numbers: dict[str, str] = {}  # payment method -> number of its card
        self.set_up: list[str] = []  # payment methods that were saved with 3-D Secure
        self.detached: list[str] = []  # payment methods that may not be used again
        self.replies: dict[str, dict[str, Any]] = {}  # by idempotency key
        self.owed: list[dict[str, Any]] = []  # webhooks that were not taken yet
        self.settling: dict[str, dict[str, Any]] = {}  # refund -> what becomes of it by itself, and when
        if file and file.exists():
            self.__dict__.update(json.loads(file.read_text()))
        self.kinds: dict[str, list[str]] = {}  # their ids, by kind
        for made in self.objects.values():
            self.kinds.setdefault(made["object"], []).append(made["id"])

    def save(self) -> None:
        """Write all of it beside the file and put it in its place."""
        if self.file:
            kept = ("advanced", "objects", "numbers", "set_up", "detached", "replies", "owed", "settling")
            fresh = self.file.with_suffix(".new")
            fresh.write_text(json.dumps({name: getattr(self, name) for name in kept}))
            fresh.replace(self.file)

    def now(self) -> int:
        return int(self.clock()) + self.advanced

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{secrets.token_hex(12)}"

    def add(self, kind: type[stripe.StripeObject], prefix: str, **values: Any) -> Object:
        """A new object of this kind, created now, in test mode."""
        values.setdefault("id", self.new_id(prefix))
        if "livemode" in kind.__annotations__:
            values["livemode"] = False
        made = shape(kind, object=kind.OBJECT_NAME, created=self.now(), **values)  # type: ignore[attr-defined]
        self.objects[made["id"]] = made
        self.kinds.setdefault(made["object"], []).append(made["id"])
        return made

    def find(self, kind: str, which: str, param: str = "id") -> Object:
        """The object of this kind with this id; Refusal (404) where there is none."""
        found = self.objects.get(which)
        if found is None or found["object"] != kind or found.get("deleted"):
            raise no_such(kind, which, param)
        return found

    def all(self, kind: str, **having: Any) -> list[Object]:
        """Newest first; only those that have these values, where one is given."""
        wanted = {name: value for name, value in having.items() if value is not None}
        there = [self.objects[which] for which in self.kinds.get(kind, ()) if which in self.objects]
        found = [each for each in there if not each.get("deleted")]
        return [
            each for each in reversed(found) if all(each[name] == value for name, value in wanted.items())
        ]

    def page(self, kind: str, url: str, params: dict[str, Any], *filters: str) -> Object:
        """A list as Stripe pages it: `created`, `limit`, `starting_after`, `ending_before`, and equal `filters`."""
        found = self.all(kind, **{name: params.get(name) for name in filters})
        created = params.get("created")
        if created is not None:
            bounds = created if isinstance(created, dict) else {"gte": created, "lte": created}
            found = [each for each in found if _within(each["created"], bounds)]
        limit = params.get("limit", 10)
        if not 1 <= limit <= MOST_LISTED:
            raise Refusal(400, f"Invalid limit: {limit}", code="parameter_invalid_integer", param="limit")
        if before := params.get("ending_before"):
            found = found[: found.index(self.find(kind, before, "ending_before"))]
            return _listed(found[-limit:], url, has_more=len(found) > limit)
        if after := params.get("starting_after"):
            found = found[found.index(self.find(kind, after, "starting_after")) + 1 :]
        return _listed(found[:limit], url, has_more=len(found) > limit)

    def tell(self, kind: str, about: Object, before: Object | None = None, key: str | None = None) -> None:
        """An event of this kind, as the object is now; it goes to the webhook."""
        data = {"object": copy.deepcopy(about)}
        if before is not None:
            data["previous_attributes"] = before
        event = self.add(
            stripe.Event,
            "evt",
            type=kind,
            data=data,
            api_version=stripe.api_version,
            pending_webhooks=1,
            request={"id": None, "idempotency_key": key},
        )
        self.owed.append({"event": event["id"], "attempts": 0, "at": self.clock()})

    def sums(self) -> dict[str, dict[str, int]]:
        """By currency: what was charged, and what of that was refunded."""
        sums: dict[str, dict[str, int]] = {}
        for charge in self.all("charge", status="succeeded"):
            sum_ = sums.setdefault(charge["currency"], {"charged": 0, "refunded": 0, "charges": 0})
            sum_["charged"] += charge["amount"]
            sum_["refunded"] += charge["amount_refunded"]
            sum_["charges"] += 1
        return sums


def _within(moment: int, bounds: dict[str, int]) -> bool:
    tests: dict[str, Callable[[int], bool]] = {
        "gt": moment.__gt__, "gte": moment.__ge__, "lt": moment.__lt__, "lte": moment.__le__
    }  # fmt: skip
    return all(tests[name](bound) for name, bound in bounds.items())


def _listed(found: list[Object], url: str, *, has_more: bool) -> Object:
    return {"object": "list", "data": found, "has_more": has_more, "url": url}
