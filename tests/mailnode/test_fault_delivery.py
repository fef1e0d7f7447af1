"""A message that was answered with 250 is delivered, queued or bounced, whatever of Postfix and Dovecot is killed."""

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import SOAK, Dice, kills, report
from tests.mailnode.clients import until
from tests.mailnode.conftest import peopled
from tests.mailnode.postman import Postman, numbers_in
from tests.mailnode.server import Server, gone, identity, mailbox

mail_server = pytest.fixture(scope="module", name="mail_server")(peopled)  # what is killed is nobody else's
pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 180)]

SETTLED_WITHIN = 60  # seconds after the last kill until the queue is empty
SMALL = 60_000  # bytes: full after some messages, so that others bounce


def test_every_message_is_accounted_for(mail_server: Server, rng: Dice) -> None:
    times = kills(15, 400)
    mail_server.push(mailbox("small@acme.test", SMALL))
    recipients = ["bob@acme.test", "mallory@mal.test", "small@acme.test"]
    postman = Postman(mail_server, "anna@acme.test", recipients)
    killed: Counter[str] = Counter()
    with postman.at_work(hands=3):
        for _ in range(times):
            time.sleep(rng.uniform(0.05, 0.5))
            killed[kill_something(mail_server, rng)] += 1
    anew(mail_server, "dovecot")
    anew(mail_server, "postfix")
    queued = wait_for_the_queue(mail_server)
    delivered = numbers_in(mail_of(mail_server, "bob@acme.test", "mallory@mal.test", "small@acme.test"))
    bounced = numbers_in(mail_of(mail_server, "anna@acme.test"))
    lost = postman.accepted - delivered.keys() - bounced.keys() - queued.keys()
    mail_server.push(gone("mailbox", "small@acme.test"))
    report(
        "messages under kills",
        rng,
        kills=dict(killed),
        accepted=len(postman.accepted),
        delivered=len(postman.accepted & delivered.keys()),
        doubled=sum(delivered[number] > 1 for number in postman.accepted),
        not_accepted_but_delivered=len((postman.sent - postman.accepted) & delivered.keys()),
        bounced=len(postman.accepted & bounced.keys()),
        queued=len(queued),
        answers={str(code): count for code, count in postman.answers.items()},
    )
    assert lost == set()
    assert all(text.startswith("552 5.2.2") for text in postman.refusals), "somebody was refused for good"
    assert postman.accepted


def kill_something(server: Server, rng: Dice) -> str:
    """Kill a process of Postfix or Dovecot, or sometimes all of one, which then starts anew; its name."""
    name = rng.choice(["postfix", "postfix", "dovecot"])
    if rng.random() < 0.1:
        anew(server, name, with_signal=signal.SIGKILL)
        return name
    children = children_of(server.running[name].pid)
    if not children:
        return "none"
    pid = rng.choice(sorted(children))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return children[pid]


def children_of(pid: int) -> dict[int, str]:
    """The children of a process and their names."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            found[int(child)] = Path(f"/proc/{child}/comm").read_text().strip()
    return found


def anew(server: Server, name: str, with_signal: int = signal.SIGTERM) -> None:
    """End all of Postfix or Dovecot and start it again; not before the last of its processes is gone, as Dovecot finds
    its sockets in use until then."""
    group = server.running[name].pid
    server.stop(name, with_signal=with_signal)

    def is_gone() -> bool:
        try:
            os.killpg(group, with_signal)
        except ProcessLookupError:
            return True
        return False

    until(is_gone)
    server.start(name)


def wait_for_the_queue(server: Server) -> Counter[str]:
    """Have everything tried until nothing waits any more, for a while; what is still there then."""
    spool = server.directory / "postfix/spool"
    etc = str(server.directory / "postfix/etc")

    def waiting() -> list[Path]:
        """A file that cleanup has not finished is not executable, and no message yet."""
        files = [path for name in ("incoming", "active", "deferred") for path in files_in(spool / name)]
        return [path for path in files if os.access(path, os.X_OK)]

    deadline = time.monotonic() + SETTLED_WITHIN
    while waiting() and time.monotonic() < deadline:
        subprocess.run(["postqueue", "-c", etc, "-f"], check=True)
        time.sleep(2)
    return numbers_in(waiting())


def mail_of(server: Server, *addresses: str) -> list[Path]:
    homes = [identity(address) for address in addresses]
    found = [path for home in homes for path in files_in(server.settings.mail / home[:2] / home)]
    return [path for path in found if path.parent.name in ("new", "cur")]


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
