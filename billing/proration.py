"""What a part of a period costs, in whole minor units."""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from billing.money import part_of


def for_days_left(amount_minor: int, today: date, starts: Sequence[date]) -> int:
    """`amount_minor` a period for what is left of these, today counted; `starts` has the first day of each, and last the
    first day after all of them.
    """
    return sum(
        part_of(amount_minor, (end - max(start, today)).days, (end - start).days)
        for start, end in pairwise(starts)
        if end > today
    )
