"""How much mail for postmaster@ and abuse@ comes in. They cannot be refused for good (RFC 2142), and lead to an address
elsewhere, so what a mail bomb would send there is bounded, for each domain and for each customer; and before that for
each network that writes to a customer, so that nobody alone keeps these addresses closed to all others."""

import ipaddress
import sqlite3
import time
from collections import OrderedDict

ROLES = ("postmaster", "abuse")
MOST_OF_NETWORK, MOST_OF_DOMAIN, MOST_OF_CUSTOMER = 10, 60, 300  # messages an hour
REMEMBERED = 10_000  # domains and customers, and as many networks
Left = OrderedDict[str, tuple[float, float]]  # key -> (messages, when)
OFTEN = "450 4.7.1 Too much mail for postmaster and abuse here within an hour, please try again later"
CUSTOMER = "SELECT customer FROM domains WHERE name = ? AND accepts = 1"


class RoleMail:
    """Counts from the start of the process on: what is forgotten is one hour's."""

    def __init__(self) -> None:
        self.left: Left = OrderedDict()
        self.of_networks: Left = (
            OrderedDict()
        )  # apart: there are many, and none makes room by others' being forgotten

    def against(self, node: sqlite3.Connection, address: str, question: dict[str, str]) -> str | None:
        """Count one for this address (without a tag) when it is named as a recipient; what speaks against it."""
        local_part, _, domain = address.rpartition("@")
        if local_part not in ROLES or question.get("protocol_state") != "RCPT":
            return None
        ours = node.execute(CUSTOMER, (domain,)).fetchone()
        if ours is None:
            return None
        network = network_of(question.get("client_address", ""))
        taken = (
            self.take(f"{network} to {ours[0]}", MOST_OF_NETWORK, self.of_networks)
            and self.take(f"domain {domain}", MOST_OF_DOMAIN, self.left)
            and self.take(f"customer {ours[0]}", MOST_OF_CUSTOMER, self.left)
        )
        return None if taken else OFTEN

    @staticmethod
    def take(key: str, most: int, of: Left) -> bool:
        """One of `most` at once, and as many again within an hour; false where none is left."""
        now = time.monotonic()
        left, at = of.pop(key, (float(most), now))
        left = min(most, left + (now - at) * most / 3_600)
        taken = left >= 1
        of[key] = (left - 1 if taken else left, now)
        if len(of) > REMEMBERED:
            of.popitem(last=False)
        return taken


def network_of(client: str) -> str:
    """What one holder of addresses commonly has: a /24, or a /48 of IPv6; what is no address is one of its own."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return ""
    address = getattr(address, "ipv4_mapped", None) or address
    return str(ipaddress.ip_network((address.packed, 24 if address.version == 4 else 48), strict=False))
