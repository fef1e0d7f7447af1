"""What a look-up costs Postfix and Dovecot with 100,000 mailboxes against 1,000, on mail servers of its own.

Postfix is asked through its proxymap by postmap, Dovecot through its auth service. Both sizes are measured
in turn, so that whatever else the machine does touches both alike.
"""

import random
import subprocess
import time
from collections.abc import Callable
from statistics import median

from tests.bench.dovecot_auth import DovecotAuth
from tests.bench.figures import figure
from tests.bench.scratch_node import ScratchNode
from tests.bench.stack import Stack

SMALL, LARGE = 1_000, 100_000
MAILBOXES_A_DOMAIN = 100
STOPPED = 50  # the receiving of every 50th mailbox of a domain is stopped
KEYS = 3_000
ROUNDS = 7
MAPS = ("mailboxes.cf", "transports.cf")  # what Postfix asks for each recipient

Ask = Callable[[], float]


def run(stack: Stack) -> None:
    directory = stack.var / "scratch"
    with ScratchNode(directory / "s") as small, ScratchNode(directory / "l") as large:
        keys = {node: filled(node, size) for node, size in ((small, SMALL), (large, LARGE))}
        for node in keys:
            node.start("dovecot", "postfix")
        compare("Postfix", *(lambda n=node: by_postfix(n, keys[n]) for node in (large, small)))
        compare("Dovecot", *(lambda n=node: by_dovecot(n, keys[n]) for node in (large, small)))


def filled(node: ScratchNode, size: int) -> list[str]:
    """Fill the mail server; returns the addresses to ask for, some of them unknown."""
    local_parts = [f"box-{number}" for number in range(MAILBOXES_A_DOMAIN)]
    domains = {f"d{number}.bench.test": local_parts for number in range(size // MAILBOXES_A_DOMAIN)}
    node.fill(domains, STOPPED)
    known = [f"{local_part}@{domain}" for domain in domains for local_part in local_parts]
    drawn = random.Random(size)
    return [
        drawn.choice(known) if number % 10 else f"nobody-{number}@d0.bench.test" for number in range(KEYS)
    ]


def compare(who: str, large: Ask, small: Ask) -> None:
    large(), small()  # the first question opens files
    times = [(large(), small()) for _ in range(ROUNDS)]
    at_large, at_small = (median(column) for column in zip(*times, strict=True))
    name = f"look-up by {who}, 100,000 rows against 1,000"
    figure(name, at_large, "us", n=ROUNDS, baseline=at_small, goal="ratio <= 1.5")


def by_postfix(node: ScratchNode, keys: list[str]) -> float:
    """Microseconds a recipient: its mailbox and its transport."""
    started = time.perf_counter()
    for table in MAPS:
        if not postfix_finds(node, table, keys):
            raise RuntimeError(f"Postfix finds nothing in {table}")
    return (time.perf_counter() - started) / len(keys) * 1e6


def postfix_finds(node: ScratchNode, table: str, keys: list[str]) -> int:
    """How many of the keys Postfix finds in one of its maps; RuntimeError when it cannot tell."""
    command = ["postmap", "-c", str(node.postfix), "-q", "-", f"proxy:sqlite:{node.postfix}/{table}"]
    done = subprocess.run(command, input="\n".join(keys), text=True, capture_output=True, check=False)
    if done.stderr:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return len(done.stdout.splitlines())


def by_dovecot(node: ScratchNode, keys: list[str]) -> float:
    """Microseconds a mailbox: its home, and whether it may sign in and its hash."""
    with DovecotAuth(node.directory / "dovecot" / "run" / "auth-userdb") as auth:
        started = time.perf_counter()
        found = sum(auth.userdb_finds(key) and auth.passdb_finds(key) for key in keys)
        seconds = time.perf_counter() - started
    if found != sum(not key.startswith("nobody-") for key in keys):
        raise RuntimeError(f"Dovecot found {found} of {len(keys)}")
    return seconds / len(keys) * 1e6
