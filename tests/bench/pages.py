"""Times of pages, see `page_times`, on a database of their own."""

from tests.bench.own_database import run_apart
from tests.bench.stack import Stack


def run(stack: Stack) -> None:
    run_apart(stack, "page_times")
