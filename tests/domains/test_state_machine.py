"""Random verbs of all kinds and random faults, against the panel and two real agents: whenever things are well
again, every row of every node is what the panel wishes. Hypothesis shrinks what fails to the fewest verbs and
prints them; FAULT_SEED runs a seed again.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import (
    run_state_machine_as_test,
)

from accounts.models import User
from billing.models import Plan
from domains.driver import stamping
from mailnode import wire
from tests.domains.hosting_machine import Hosting
from tests.domains.world import Node, World
from tests.faults import SOAK, Dice, kills, new_dice, report

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(
        0 if SOAK else 480
    ),  # only what fails takes long: Hypothesis shrinks for five minutes
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Node]]:
    made = [Node(f"mx{number}.mxpanel.test") for number in (1, 2)]
    yield made
    for node in made:
        node.stop()


@pytest.fixture
def world(nodes: list[Node], alice: User, transactional_db: None) -> World:
    plan = Plan.objects.create(slug="plan", name="Plan", currency="USD", yearly_minor=100, storage_mb=10_240)
    return World(nodes, alice, plan)


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows are several pages, so that there is something between them."""
    monkeypatch.setattr(wire, "MAX_ROWS", 4)
    monkeypatch.setattr(stamping, "MAX_ROWS", 4)


@pytest.mark.usefixtures("short_pages")
def test_every_row_is_as_wished_after_each_settling(world: World) -> None:
    rng: Dice = new_dice()
    examples, steps = kills(8, 1_500), kills(20, 50)
    report("state machine", rng, examples=examples, steps=steps)

    @seed(rng.seed_given)
    class Seeded(Hosting):
        pass

    Seeded.world = world
    run_state_machine_as_test(
        Seeded,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
