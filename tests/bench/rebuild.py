"""What it costs to rebuild and to compare a large mail server, and to change one thing on a very large one: see
`large_server` and `million`, each on a database of its own.
"""

from tests.bench.own_database import run_apart
from tests.bench.stack import Stack


def run(stack: Stack) -> None:
    for benchmark in ("large_server", "million"):
        run_apart(stack, benchmark)
