"""The agent dies at any moment: what it acknowledged is there, and what has to follow follows."""

import random
import signal
import time

import pytest

from mailnode import wire
from mailnode.store import Store
from tests.faults import SOAK, Dice, kills, report
from tests.mailnode.panel import Panel
from tests.mailnode.server import Server, dkim_key, domain, identity, mailbox


def test_effects_are_completed_after_a_crash(server: Server, private_key: str) -> None:
    """A page is committed, and the process dies before anything followed from it."""
    store = Store(server.settings)
    page = wire.Changes(
        wire=1,
        base=wire.Point(revision=0, mark=""),
        revision=5,
        mark="m",
        rows=[domain("acme.test"), dkim_key("acme.test", private_key), mailbox("anna@acme.test")],
    )
    store.apply(page)
    assert store.effective() == 0
    store.close()
    for path in (server.settings.dkim / "stage").iterdir():
        path.chmod(0o644)  # written by the test's root, read by the agent
    server.start("agent")
    status = server.status()
    assert (status.revision, status.effective, status.lag_error) == (5, 5, None)
    assert (server.settings.dkim / "acme.test" / "k1.key").read_text() == private_key


def test_a_key_that_was_staged_for_nothing_goes(server: Server, private_key: str) -> None:
    Store(server.settings).keys.stage(identity("k"), private_key)
    server.start("agent")
    assert list((server.settings.dkim / "stage").iterdir()) == []


@pytest.mark.soak
@pytest.mark.timeout(0 if SOAK else 120)
def test_kills_in_a_stream_of_pages_lose_and_double_nothing(
    server: Server, private_keys: list[str], rng: Dice
) -> None:
    """The panel's side of the protocol against an agent that is killed again and again."""
    panel = Panel(server, random.Random(rng.randrange(2**32)), private_keys)
    times = kills(6, 200)
    server.start("agent")
    with panel.streaming():
        for _ in range(times):
            time.sleep(rng.uniform(0, 0.5))
            server.stop("agent", with_signal=signal.SIGKILL)
            server.start("agent")
    panel.go_on()
    panel.assert_in_step()
    report("agent killed in a stream of pages", rng, kills=times, pages=len(panel.sent))
    assert panel.acknowledged > 1, "no page was acknowledged under fire, so nothing is proved"
