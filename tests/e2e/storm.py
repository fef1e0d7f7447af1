"""Tasks of the panel as nobody sends them: doubled, out of their turn, with ids of others, of nothing, and with no ids
at all: `storm SEED`, until it is killed.
"""

import random
import sys
import time
from typing import Any
from uuid import UUID

import django

django.setup()

from celery import current_app  # noqa: E402 (settings come first)
from django.db import OperationalError  # noqa: E402

from accounts.models import Notice  # noqa: E402
from billing.models import FraudReport, Order  # noqa: E402
from domains.models import Domain, MailServer  # noqa: E402

OURS = ("accounts.", "billing.", "domains.", "delivery.")
NONSENSE: list[Any] = [None, "", "x", -1, 0, 10**30, 1.5, True, [], {}, "0" * 5000, str(UUID(int=7)), "\0"]


def main(seed: str) -> None:
    dice = random.Random(int(seed))
    current_app.loader.import_default_modules()
    names = sorted(name for name in current_app.tasks if name.startswith(OURS))
    while True:
        try:
            ids = known_ids()
        except OperationalError:
            continue
        wave = [(dice.choice(names), arguments(dice, ids)) for _ in range(10)] * 2
        dice.shuffle(wave)
        for name, args in wave:
            current_app.send_task(name, args=args, expires=20)
        time.sleep(0.2)


def known_ids() -> list[Any]:
    """Of everything that tasks are about, whichever task it is for."""
    found: list[Any] = []
    for model in (MailServer, Domain, Notice, Order, FraudReport):
        found += model._default_manager.order_by("-pk").values_list("pk", flat=True)[:20]
    return [key if isinstance(key, int) else str(key) for key in found]


def arguments(dice: random.Random, ids: list[Any]) -> list[Any]:
    """Mostly one id of something, now and then nonsense, none or too many."""
    if dice.random() < 0.7:
        return [dice.choice(ids)]
    return [dice.choice(NONSENSE) for _ in range(dice.choice([0, 1, 1, 2]))]


if __name__ == "__main__":
    main(*sys.argv[1:])
