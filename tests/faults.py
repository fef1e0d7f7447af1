"""What fault tests share: how often, chance that can be had again, and the one line of JSON that each prints.

The same tests run with few kills in `make test` and with many in `make soak`. A seed that was printed can be
given again in FAULT_SEED.
"""

import json
import os
import random
import sys
from typing import Any

SOAK = bool(os.environ.get("MXPANEL_SOAK") or os.environ.get("SOAK"))


def kills(short: int, full: int) -> int:
    """How often a fault happens: `full` times in a soak."""
    return full if SOAK else short


class Dice(random.Random):
    """Chance that can be had again: `seed_given` is what it began with."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.seed_given = seed


def new_dice() -> Dice:
    """A seed that nobody chose, or the one of FAULT_SEED."""
    return Dice(int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(2**32)))


def report(name: str, rng: Dice, **measured: Any) -> None:
    """Print what a test measured; pytest shows it where the test fails, a soak always."""
    sys.stdout.write(json.dumps({"name": name, "seed": rng.seed_given, **measured}) + "\n")
