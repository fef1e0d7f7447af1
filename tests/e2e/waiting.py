"""Waiting for what comes about by itself."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], seconds: float = 10, every: float = 0.1) -> T:
    """The first true value of `check`. An AssertionError or a broken connection in it means: not yet.

    When the time is over, the last of these is raised, or an AssertionError with the last value.
    """
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            if value := check():
                return value
            problem: Exception = AssertionError(f"still {value!r} after {seconds} s")
        except (AssertionError, OSError) as error:
            problem = error
        if time.monotonic() > give_up_at:
            raise problem
        time.sleep(every)
