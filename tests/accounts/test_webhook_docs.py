"""docs/webhooks.md says what the code does."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from accounts.webhooks import sending
from accounts.webhooks.events import FACTS, GROUPS
from tests.accounts.conftest import happens

TEXT = Path("docs/webhooks.md").read_text()
UNITS = {"s": 1, "min": 60, "h": 3600}


def table(head: str) -> list[list[str]]:
    """The cells below the line of heads."""
    rows = TEXT.split(f"{head}\n", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_groups_and_kinds():
    assert table("| Group | What it is | Types |") == [
        [f"`{group}`", words, ", ".join(f"`{kind}`" for kind in kinds)]
        for group, (words, kinds) in GROUPS.items()
    ]


def test_the_facts():
    named = [name for row in table("| Fact | Meaning |") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(FACTS)


def test_the_gaps():
    [gaps] = re.findall(r"after a longer gap: ([^.]*)\.", TEXT)
    told = [int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+) (s|min|h)", gaps)]
    assert tuple(told) == sending.GAPS
    assert timedelta(seconds=sum(told[:-1])) < sending.GIVEN_UP_AFTER <= timedelta(seconds=sum(told))


@pytest.mark.django_db
def test_the_sample_takes_what_is_sent(acme, webhook, target, monkeypatch):
    happens(acme)
    sending.call(str(webhook.pk))
    [sample] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.setenv("WEBHOOK_SECRET", webhook.secret)
    names: dict = {}
    exec(sample, names)  # noqa: S102
    (headers, body), *_ = target.calls
    assert names["event_of"](body, headers)["data"]["sequence"] == 1
