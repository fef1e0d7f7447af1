"""What it costs to renew many services in one night: see `renewal_sweep`, on a database of its own."""

from tests.bench.own_database import run_apart
from tests.bench.stack import Stack


def run(stack: Stack) -> None:
    run_apart(stack, "renewal_sweep")
