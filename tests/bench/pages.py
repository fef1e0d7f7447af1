"""Times of pages, see `page_times`, `mailbox_lists`, `review_page`, `billing_pages` and `api_calls`, each on a database of
its own.
"""

from tests.bench.own_database import run_apart
from tests.bench.stack import Stack


def run(stack: Stack) -> None:
    run_apart(stack, "page_times")
    run_apart(stack, "mailbox_lists")
    run_apart(stack, "review_page")
    run_apart(stack, "billing_pages")
    run_apart(stack, "api_calls")
