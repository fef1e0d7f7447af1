"""One figure of a benchmark as one JSON line; `python -m deploy.stack bench` keeps all in bench.json."""

import json
import math
import sys
from collections.abc import Iterable


def figure(
    name: str, value: float, unit: str, *, n: int, baseline: float | None = None, goal: str = ""
) -> None:
    """Print what was measured. `n`: how many measurements stand behind `value`. `baseline`: the same without
    what is asked about, in the same run; `ratio` is value through baseline. `goal`: what is hoped for.
    """
    line: dict[str, object] = {"name": name, "value": rounded(value), "unit": unit, "n": n}
    if baseline is not None:
        line |= {"baseline": rounded(baseline), "ratio": rounded(value / baseline)}
    if goal:
        line["goal"] = goal
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def rounded(value: float) -> float:
    """Three significant digits are all that a benchmark on a shared machine can promise; counts stay whole."""
    return value if isinstance(value, int) else float(f"{value:.3g}")


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest of `values` that `percent` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
