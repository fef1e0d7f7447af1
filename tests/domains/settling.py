"""Waiting until a real agent holds what the panel wants, and what goes on meanwhile."""

import random
import subprocess
import sys
import time
from collections.abc import Callable

from django.db import connection

from domains.models import Domain, Mailbox, MailboxImport, MailServer
from tests.domains.conftest import HASH, fresh
from tests.domains.real_agent import ROOT, RealAgent, environment, in_step

FOREVER = "[(work(int(sys.argv[1])), time.sleep(0.002)) for _ in iter(int, 1)]"


def settled(agent: RealAgent, server: MailServer) -> bool:
    server = fresh(server)
    return server.sync.effective == server.revision == agent.effective and in_step(agent, server)


def wait_settled(
    agent: RealAgent, server: MailServer, seconds: float = 30, by: Callable[[int], object] = lambda pk: None
) -> None:
    """Until that is so. `by` is done ever again: a worker that was killed may hold its lock for a moment still."""
    ends_at = time.monotonic() + seconds
    by(server.pk)
    while not settled(agent, server):
        assert time.monotonic() < ends_at, (fresh(server).sync.failure, fresh(server).sync.halted_reason)
        time.sleep(0.05)
        by(server.pk)


def worker(
    subject: MailServer | MailboxImport, work: str = "domains.driver.sync.sync"
) -> subprocess.Popen[bytes]:
    """A process of its own that does this work for ever, on the test's database."""
    module, name = work.rsplit(".", 1)
    code = f"import django, sys, time; django.setup(); from {module} import {name} as work; {FOREVER}"
    url = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**connection.settings_dict)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(subject.pk)], cwd=ROOT,
        env=environment(DATABASE_URL=url, DJANGO_SETTINGS_MODULE="mxpanel.settings", LOG_LEVEL="CRITICAL"),
    )  # fmt: skip


def churn(hosted: Domain, dice: random.Random, rounds: int) -> None:
    """Random verbs on random mailboxes."""
    for number in range(rounds):
        mailbox = dice.choice([*Mailbox.objects.filter(domain=hosted), None])
        verbs = ["add"] if mailbox is None else ["change", "suspend", "unsuspend", "delete", "restore", "add"]
        match dice.choice(verbs):
            case "add":
                hosted.add_mailbox(f"m{time.monotonic_ns()}", password_hash=HASH, by=None)
            case "change":
                mailbox.change(number, "", by=None)
            case verb:
                getattr(mailbox, verb)(by=None)
