"""How much mail for postmaster@ and abuse@ comes in. They cannot be refused for good (RFC 2142), and lead to an address
elsewhere, so what a mail bomb would send there is bounded, for each domain and for each customer."""

import sqlite3
import time
from collections import OrderedDict

ROLES = ("postmaster", "abuse")
MOST_OF_DOMAIN, MOST_OF_CUSTOMER = 60, 300  # messages an hour
REMEMBERED = 10_000  # domains and customers
OFTEN = "450 4.7.1 Too much mail for postmaster and abuse here within an hour, please try again later"
CUSTOMER = "SELECT customer FROM domains WHERE name = ? AND accepts = 1"


class RoleMail:
    """Counts from the start of the process on: what is forgotten is one hour's."""

    def __init__(self) -> None:
        self.left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (messages, when)

    def against(self, node: sqlite3.Connection, address: str, question: dict[str, str]) -> str | None:
        """Count one for this address (without a tag) when it is named as a recipient; what speaks against it."""
        local_part, _, domain = address.rpartition("@")
        if local_part not in ROLES or question.get("protocol_state") != "RCPT":
            return None
        ours = node.execute(CUSTOMER, (domain,)).fetchone()
        if ours is None:
            return None
        taken = self.take(f"domain {domain}", MOST_OF_DOMAIN) and self.take(
            f"customer {ours[0]}", MOST_OF_CUSTOMER
        )
        return None if taken else OFTEN

    def take(self, key: str, most: int) -> bool:
        """One of `most` at once, and as many again within an hour; false where none is left."""
        now = time.monotonic()
        left, at = self.left.pop(key, (float(most), now))
        left = min(most, left + (now - at) * most / 3_600)
        taken = left >= 1
        self.left[key] = (left - 1 if taken else left, now)
        if len(self.left) > REMEMBERED:
            self.left.popitem(last=False)
        return taken
