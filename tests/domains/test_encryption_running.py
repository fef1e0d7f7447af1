"""Another encryption key comes into use, and the former one goes, while processes of the panel add domains and sync.

The order is that of docs/settings.md. Processes of two neighbouring steps always run side by side, as while they are
being restarted one by one.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection

from domains.driver.agent import Agent
from domains.driver.sync import sync
from domains.models import Domain, MailServer
from tests.domains.conftest import fresh
from tests.domains.real_agent import ROOT, RealAgent, environment, in_step

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]

Process = subprocess.Popen[str]


@pytest.fixture
def adding(hosted: Domain) -> Iterator[Callable[[str, list[str]], Process]]:
    """Starts a process with these keys; it runs when this returns."""
    started = []

    def start(name: str, keys: list[str]) -> Process:
        url = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**connection.settings_dict)
        env = environment(ENCRYPTION_KEYS=",".join(keys), DATABASE_URL=url, CELERY_BROKER_URL="memory://")
        argv = [sys.executable, "-m", "tests.domains.adding_domains", hosted.customer.username, name]
        pipe = subprocess.PIPE
        process = subprocess.Popen(argv, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline(), process.communicate()[1]
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def ended_well(process: Process) -> int:
    """End it; how many domains it added."""
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return 1 + len(out.splitlines())


def test_no_value_is_ever_unreadable(
    agent: RealAgent,
    server: MailServer,
    adding: Callable[[str, list[str]], Process],
    settings: Any,
) -> None:
    server.next_agent_key = server.agent_key  # as in the middle of a renewal
    server.save()
    old, new = settings.ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    first = adding("first", [old])
    second = adding("second", [old, new])
    added = ended_well(first)
    third = adding("third", [new, old])
    added += ended_well(second)
    settings.ENCRYPTION_KEYS = [new, old]
    call_command("encryption_rotate", verbosity=0)
    fourth = adding("fourth", [new])
    added += ended_well(third)
    added += ended_well(fourth)
    settings.ENCRYPTION_KEYS = [new]
    sync(server.pk)
    assert in_step(agent, fresh(server))
    assert Domain.objects.live().count() == added + 1
    Agent(fresh(server)).status()
    assert fresh(server).next_agent_key == fresh(server).agent_key
