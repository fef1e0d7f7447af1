"""The agent is killed at random points of a rebuild, and whoever looks something up meanwhile gets the right answer."""

import contextlib
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults import SOAK, Dice, kills, report
from tests.mailnode.clients import ask, connect, imap, stranger
from tests.mailnode.conftest import peopled
from tests.mailnode.panel import Panel
from tests.mailnode.server import Server, customer, domain, mailbox, state

mail_server = pytest.fixture(scope="module", name="mail_server")(peopled)  # what is killed is nobody else's
pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 120)]

MANY = 2_000
ANNA = "anna@acme.test"


def test_kills(mail_server: Server, rng: Dice, private_keys: list[str]) -> None:
    times = kills(3, 200)
    panel = Panel(mail_server, random.Random(rng.randrange(2**32)), private_keys)
    panel.adopt()
    bulk = [mailbox(f"u{number}@bulk.test") for number in range(MANY)]
    stopped = state("u0@bulk.test", "mailbox", "receive")
    for rows in ([customer("bulk"), domain("bulk.test", "bulk"), stopped], bulk[::2], bulk[1::2]):
        panel.send(rows)
    with looking_up(mail_server) as (looked, wrong):
        with panel.streaming(panel.next_rebuild):
            for _ in range(times):
                time.sleep(rng.uniform(0, 1.5))
                mail_server.stop("agent", with_signal=signal.SIGKILL)
                mail_server.start("agent")
        panel.go_on()
        panel.assert_in_step()
    rebuilds = panel.acknowledged
    panel.leave()
    report("agent killed in a rebuild", rng, kills=times, rebuilds=rebuilds, look_ups=looked, failed=wrong)
    assert not wrong
    assert set(looked) == {"policy", "postfix", "dovecot"}


@contextlib.contextmanager
def looking_up(server: Server) -> Iterator[tuple[Counter[str], Counter[str]]]:
    """Ask the look-up service, Postfix and Dovecot again and again; how often each was asked, and the answers that
    were not right."""
    looked: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    over = threading.Event()

    def again_and_again(name: str, look: Callable[[], str]) -> None:
        while not over.is_set():
            if answer := look():
                wrong[f"{name}: {answer}"] += 1
            looked[name] += 1
            over.wait(0.01)

    with (
        connect(server) as policy,
        ThreadPoolExecutor(3) as pool,
    ):
        looks = {
            "policy": lambda: asked_of_policy(server, policy),
            "postfix": lambda: asked_of_postfix(server),
            "dovecot": lambda: asked_of_dovecot(server),
        }
        working = [pool.submit(again_and_again, name, look) for name, look in looks.items()]
        try:
            yield looked, wrong
        finally:
            over.set()
            for each in working:
                each.result()


def asked_of_policy(server: Server, connection: socket.socket) -> str:
    """The look-up service's answers for one who may receive and one who may not; "" where they are right."""
    said = [
        ask(server, connection, recipient=address, sender="x@elsewhere.test")
        for address in (ANNA, "u0@bulk.test")
    ]
    return "" if said[0] == "DUNNO" and said[1].startswith("450 4.2.1") else " ".join(said)


def asked_of_postfix(server: Server) -> str:
    """Postfix's answers for two mailboxes that are there, one that is not, and a domain that is not."""
    with stranger(server) as client:
        client.mail("friend@stranger.example")
        said = [
            client.rcpt(address) for address in (ANNA, "u1@bulk.test", "no@acme.test", "x@elsewhere.test")
        ]
    return "" if [code for code, _ in said] == [250, 250, 550, 554] else str(said)


def asked_of_dovecot(server: Server) -> str:
    """Whether anna can sign in."""
    try:
        imap(server, ANNA, "anna-secret").logout()
    except Exception as error:
        return repr(error)
    return ""
