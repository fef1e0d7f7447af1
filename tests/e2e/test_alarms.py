"""Alarms on the living stack: what is killed shows on the first page of the staff site and by mail, and closes again.

In `make test` a queue's worker is held down, and a watch that is quicker than the stack's own looks at it; in `make
soak` everything that a canary passes, and the stack's own watch looks.
"""

import contextlib
import email
import email.policy
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.e2e.person import Person
from tests.e2e.stack import Stack
from tests.e2e.test_faults import panel_environment, wait_until_well
from tests.e2e.waiting import eventually
from tests.faults import SOAK

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 120)]

SHORT, FULL = (
    [("worker-servers", "queue servers")],
    [
        ("worker-panel", "queue panel"),
        ("worker-slow", "queue slow"),
        ("beat", "beat"),
        ("redis", "beat"),
    ],
)
SECONDS = 150 if SOAK else 40


@pytest.fixture
def watch(stack: Stack) -> Iterator[None]:
    """Something that watches, and calls a queue silent after two canaries unless all the time of the world is there."""
    if SOAK:
        yield
        return
    env = panel_environment(stack) | {"ALARM_MISSED_CANARIES": "2"}
    with stack.held_down("watch"):
        process = subprocess.Popen([sys.executable, "manage.py", "watch"], env=env)
        yield
        process.kill()
        process.wait()


@pytest.mark.parametrize(("component", "subject"), SHORT + FULL if SOAK else SHORT)
def test_what_a_canary_passes_is_held_down(
    stack: Stack, staff: Person, watch: None, component: str, subject: str
) -> None:
    wait_until_well(stack)
    started = time.time_ns()
    with stack.held_down(component):
        eventually(lambda: (subject, True) in incidents(stack), SECONDS, every=0.5)
        page = staff.get("/admin/").text
        assert "Wants attention" in page
        assert f"({subject})" in page
        eventually(lambda: f"\n{subject}, since " in mailed(stack, started), SECONDS)
    eventually(lambda: (subject, False) in incidents(stack), SECONDS, every=0.5)
    assert f"({subject})" not in staff.get("/admin/").text


def incidents(stack: Stack) -> list[tuple[str, bool]]:
    """Subject of each incident about workers, newest first, and whether it is open."""
    with contextlib.suppress(OSError):
        query = "SELECT subject, closed_at IS NULL FROM domains_incident WHERE kind = 'worker' ORDER BY opened_at DESC"
        return stack.rows(query)[:1]
    return []


def mailed(stack: Stack, since: int) -> str:
    """The text of all mails to staff that went out since then (nanoseconds)."""
    to = stack.sign_in("staff")["email"]
    paths = [path for path in stack.outbox.glob("*.eml") if int(path.name.partition("-")[0]) >= since]
    messages = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]
    bodies = [message.get_body(("plain",)) for message in messages if to in str(message["To"])]
    return "\n".join(body.get_content().replace("\r\n", "\n") for body in bodies if body)
