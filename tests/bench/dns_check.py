"""The DNS of 1,000 domains asked and compared, against the stack's own name server."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from domains.dns import ownership, records
from tests.bench.figures import figure
from tests.bench.stack import Stack

DOMAINS = 1_000
THREADS = 8


class Key(NamedTuple):
    selector: str = "k1"
    public_key: str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"


def run(stack: Stack) -> None:
    names = [f"bench{number}.test" for number in range(DOMAINS)]
    started = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        states = list(pool.map(_look, names))
    took = time.monotonic() - started
    unchecked = sum("unchecked" in found for found in states)
    if unchecked:
        raise AssertionError(f"{unchecked} of {DOMAINS} could not be asked.")
    figure("dns_check_1000_domains", took, "s", n=DOMAINS, goal="at most 30 s")


def _look(name: str) -> set[str]:
    found = records.check(name, records.expected(name, "mx1.mxpanel.test", Key()))
    found["ownership"] = ownership.look_again(name, "_da-verify-" + "0" * 32)
    records.zone_of(name)
    return {facts["state"] for facts in found.values()}
