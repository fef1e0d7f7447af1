"""What it costs to import a large file of mailboxes: see `csv_import`, on a database of its own."""

from tests.bench.own_database import run_apart
from tests.bench.stack import Stack


def run(stack: Stack) -> None:
    run_apart(stack, "csv_import")
