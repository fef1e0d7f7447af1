"""One mail server hangs, is slow or lies: changes of the other are live as soon as ever, and nothing is lost."""

import contextlib
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.e2e.fire import Fire
from tests.e2e.hosting import Tenant, is_live
from tests.e2e.liar import BAD_WAYS, in_place_of_agent
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually
from tests.faults import SOAK, Dice, kills

# Later than without: far below the deadline of a call (AGENT_FAST_DEADLINE), which whoever waits for the bad one waits.
LATER_BY = 1.5  # seconds
NO_SLOWER = 1.5  # times, in the median; `make bench` measures it without the noise of these tests

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 120)]

Bad = Callable[[Tenant], AbstractContextManager[None]]


@pytest.fixture
def lags_with(
    stack: Stack, domains: list[tuple[Tenant, str]], under_fire: Fire, rng: Dice
) -> Callable[..., None]:
    """Measures how long changes of one server take, well and then with the other one bad, while both are changed."""

    def run(name: str, bad: Bad) -> None:
        (other, _), (tenant, domain) = rng.sample(domains, 2)
        tenant.add_mailbox(domain, username := f"lag{rng.randrange(16**6):06x}")
        page, count = tenant.page(domain, "mailboxes", username), kills(5, 40)
        with under_fire.changing():
            well = [lag(tenant, page, rng) for _ in range(count)]
            with bad(other):
                time.sleep(kills(1, 5))  # the panel has noticed, or not
                lags = [lag(tenant, page, rng) for _ in range(count)]
        ratio = statistics.median(lags) / statistics.median(well)
        measured = {
            "median": round(statistics.median(lags), 3),
            "ratio": round(ratio, 2),
            "max": round(max(lags), 2),
        }
        under_fire.assert_nothing_lost(name, **measured)
        assert max(lags) < max(well) + LATER_BY, measured
        assert not SOAK or ratio < NO_SLOWER, measured

    return run


def lag(tenant: Tenant, page: str, rng: Dice) -> float:
    """Seconds from the answer to a change until its page says that it is live."""
    tenant.person.sends(f"{page}change/", quota_mb=rng.randrange(1, 10_000), name="Some Body")
    changed = time.monotonic()
    eventually(lambda: is_live(tenant.person.get(page).text), 10, every=0.01)
    return time.monotonic() - changed


def test_a_server_that_hangs_slows_no_other(stack: Stack, lags_with: Callable[..., None]) -> None:
    @contextlib.contextmanager
    def stopped(tenant: Tenant) -> Iterator[None]:
        agent = f"{tenant.server.short}-agent"
        stack.kill(agent, signal.SIGSTOP)
        try:
            yield
        finally:
            stack.kill(agent, signal.SIGCONT)

    lags_with("a server hangs", stopped)


def test_a_server_that_answers_badly_slows_no_other(
    stack: Stack, lags_with: Callable[..., None], rng: Dice
) -> None:
    """Any of them in the short form, all in the long one."""
    for way in rng.sample(BAD_WAYS, kills(1, len(BAD_WAYS))):
        lags_with(
            f"a server is {way.__name__}",
            lambda tenant, way=way: in_place_of_agent(stack, tenant.server, way),
        )
