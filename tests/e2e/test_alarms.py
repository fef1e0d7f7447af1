"""Alarms on the living stack: what is killed shows on the first page of the staff site and by mail, and closes again.

In `make test` a queue's worker is held down, and a watch that is quicker than the stack's own looks at it; in `make
soak` everything that a canary passes, a service and an agent, and the stack's own watch looks.
"""

import contextlib
import email
import email.policy
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.fire import panel_environment, wait_until_well
from tests.e2e.person import Person
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually
from tests.faults import SOAK

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 240)]

# What is held down, and what is told: kind and subject of the incident.
SHORT = [("worker-servers", "worker", "queue servers")]
FULL = [
    ("worker-panel", "worker", "queue panel"),
    ("worker-slow", "worker", "queue slow"),
    ("beat", "worker", "beat"),
    ("redis", "worker", "beat"),
    ("mx1-rspamd", "service", "rspamd of mx1.mxpanel.test"),
    ("mx1-agent", "silent", "mx1.mxpanel.test"),
]
SECONDS = 200 if SOAK else 60


@pytest.fixture
def watch(stack: Stack) -> Iterator[None]:
    """Something that watches, and calls a queue silent when it misses one canary, unless there is all the time of a soak."""
    if SOAK:
        yield
        return
    env = panel_environment(stack) | {"ALARM_MISSED_CANARIES": "1"}
    with stack.held_down("watch"):
        process = subprocess.Popen([sys.executable, "manage.py", "watch"], env=env)
        yield
        process.kill()
        process.wait()


@pytest.mark.parametrize(("component", "kind", "subject"), SHORT + FULL if SOAK else SHORT)
def test_what_is_held_down_is_told(
    stack: Stack, staff: Person, watch: None, component: str, kind: str, subject: str
) -> None:
    wait_until_well(stack)
    with stack.held_down(component):
        number = eventually(lambda: newest(stack, kind, subject, "closed_at IS NULL"), SECONDS, every=0.5)
        page = f"/admin/domains/incident/{number}/change/"
        eventually(lambda: "Wants attention" in (found := staff.get("/admin/").text) and page in found, 20)
        if newest(stack, kind, subject, "reopened = 0") == number:  # otherwise it was told within the hour
            opened_at = stack.rows("SELECT opened_at FROM domains_incident WHERE id = %s", number)[0][0]
            since = int(opened_at.timestamp()) * 10**9
            eventually(lambda: f"\n{subject}, since " in mailed(stack, since), SECONDS)

    def is_over() -> bool:
        """Closed, and still closed a moment later: a watch this quick takes a canary that is late for one that is lost."""
        is_closed = newest(stack, kind, subject, "closed_at IS NOT NULL") == number
        return is_closed and page not in staff.get("/admin/").text

    eventually(is_over, SECONDS, every=0.5)


def newest(stack: Stack, kind: str, subject: str, state: str) -> int:
    """The number of the newest incident of this kind in this state; 0 when there is none."""
    query = f"SELECT max(id) FROM domains_incident WHERE kind = %s AND subject = %s AND {state}"  # noqa: S608 two states of ours
    with contextlib.suppress(OSError):
        return stack.rows(query, kind, subject)[0][0] or 0
    return 0


def mailed(stack: Stack, since: int) -> str:
    """The text of all mails to staff that went out since then (nanoseconds)."""
    to = stack.sign_in("staff")["email"]
    paths = [path for path in stack.outbox.glob("*.eml") if int(path.name.partition("-")[0]) >= since]
    messages = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]
    bodies = [message.get_body(("plain",)) for message in messages if to in str(message["To"])]
    return "\n".join(body.get_content().replace("\r\n", "\n") for body in bodies if body)
