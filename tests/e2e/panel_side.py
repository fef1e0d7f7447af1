"""Processes of the panel that a test can kill where it likes: `panel_side fill|vanish DOMAIN`.

fill     for each line `PREFIX COUNT` on stdin: add so many mailboxes in one transaction, then say `committed`
vanish   for each line `NAME` on stdin: add a mailbox, and be killed between COMMIT and the hint to the workers
"""

import os
import signal
import sys

import django

django.setup()

from domains.driver import stamping  # noqa: E402 (settings come first)
from domains.mailbox_password import hash_password  # noqa: E402
from domains.models import Domain  # noqa: E402
from foundation.unit_of_work import unit_of_work  # noqa: E402


def fill(domain: Domain) -> None:
    ready = hash_password("one-hash-for-all-of-them")
    for line in sys.stdin:
        prefix, count = line.split()
        with unit_of_work():
            for number in range(int(count)):
                domain.add_mailbox(f"{prefix}-{number}", quota_mb=100, by=None, password_hash=ready)
        say("committed")


def vanish(domain: Domain) -> None:
    def die_instead(server_id: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    stamping.hint = die_instead
    domain.add_mailbox(sys.stdin.readline().strip(), "will-be-there-anyway", quota_mb=100, by=None)
    say("not reached")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    commands = {"fill": fill, "vanish": vanish}
    commands[sys.argv[1]](Domain.objects.live().get(name=sys.argv[2]))
