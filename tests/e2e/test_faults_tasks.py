"""Tasks doubled, shuffled, foreign and malformed, with two beats and so with two sweeps at once: a task is a hint, so
nothing runs twice with effect.
"""

import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from tests.e2e.fire import Fire, panel_environment
from tests.e2e.hosting import DETAILS, status_of
from tests.e2e.person import Person, mails_to
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually
from tests.faults import SOAK, Dice, kills

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 120)]


@contextlib.contextmanager
def beside(stack: Stack, *module: str) -> Iterator[None]:
    """A process of the panel's code, until the block ends; it must live as long."""
    process = subprocess.Popen([sys.executable, "-m", *module], env=panel_environment(stack))
    try:
        yield
        assert process.poll() is None, f"{module[0]} ended by itself"
    finally:
        process.kill()
        process.wait()


def test_tasks_doubled_shuffled_and_foreign(
    stack: Stack, under_fire: Fire, rng: Dice, tmp_path: Path
) -> None:
    beat = [
        "celery",
        "--app",
        "mxpanel.celery",
        "beat",
        "--pidfile",
        "",
        "--schedule",
        str(tmp_path / "schedule"),
    ]
    with (
        beside(stack, *beat, "--loglevel", "WARNING"),
        beside(stack, "tests.e2e.storm", str(rng.seed_given)),
        under_fire.changing(),
    ):
        for _ in range(kills(1, 30)):
            assert_told_once(stack, ordered_and_cancelled(stack))
    under_fire.assert_nothing_lost("tasks doubled, shuffled, foreign; two beats")


def ordered_and_cancelled(stack: Stack) -> str:
    """The address of a new person who ordered, got a verdict and thought better of it."""
    mark = token_hex(4)
    address, person = f"twice-{mark}@people.test", Person(stack)
    person.sign_up(address, f"person-{token_hex(8)}")
    order = person.sends("/order/", plan="10gb", username=f"w{mark}", **DETAILS)
    eventually(lambda: status_of(person.get(order).text) != "checking", 30)
    eventually(lambda: any(order.split("/")[2] in mail for mail in mails_to(stack, address)), 30)
    person.sends(f"{order}cancel/")
    return address


def assert_told_once(stack: Stack, address: str) -> None:
    """No mail went out twice, and the order was checked once."""
    mails = Counter(mails_to(stack, address))
    assert mails, "nothing was told"
    assert set(mails.values()) == {1}, mails
    entries = stack.rows(
        """SELECT a.action, count(*) FROM accounts_auditentry a JOIN billing_order o ON o.customer_id = a.customer_id
        WHERE o.email = %s GROUP BY a.action""",
        address,
    )
    assert {count for _, count in entries} <= {1}, entries
