"""Times of pages, see `page_times` and `mailbox_lists`, each on a database of its own."""

from tests.bench.own_database import run_apart
from tests.bench.stack import Stack


def run(stack: Stack) -> None:
    run_apart(stack, "page_times")
    run_apart(stack, "mailbox_lists")
