"""`python -m tests.bench [name ...]`: the benchmarks named, or all, against the stack of MXPANEL_STACK.

It runs as root with the panel's settings in the environment, as `python -m deploy.stack bench` starts it.
Each figure is one JSON line on stdout. A benchmark that fails does not keep the others from running; the
exit code is 1 then. A missed goal is no failure.
"""

import sys
import traceback
from importlib import import_module

import django

from tests.bench.stack import Stack

BENCHMARKS = (
    "change_live",
    "pages",
    "changes_rate",
    "accept",
    "lookup",
    "policy",
    "dns_check",
    "imports",
    "rebuild",
    "hung_server",
    "invoice_pdf",
    "renewals",
)
INSIDE_ANOTHER = (
    "page_times",
    "api_calls",
    "mailbox_lists",
    "review_page",
    "billing_pages",
    "csv_import",
    "large_server",
    "million",
    "renewal_sweep",
)  # started by `pages`, `imports`, `rebuild` and `renewals` on a database of their own


def main(names: list[str]) -> int:
    if unknown := set(names) - {*BENCHMARKS, *INSIDE_ANOTHER}:
        sys.stderr.write(
            f"No such benchmark: {', '.join(sorted(unknown))}. There are: {', '.join(BENCHMARKS)}.\n"
        )
        return 2
    django.setup()
    stack = Stack.from_environment()
    failed = 0
    for name in names or BENCHMARKS:
        try:
            import_module(f"tests.bench.{name}").run(stack)
        except Exception:
            sys.stderr.write(f"The benchmark {name} failed:\n{traceback.format_exc()}")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
