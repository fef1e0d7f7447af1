"""Whatever dies, and whenever: soon after things are well again, every mail server holds what the panel wishes.

Few kills in `make test` and many in `make soak`, see tests/faults.py.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from secrets import token_hex
from typing import Any

import pytest
import requests

from tests.e2e.changes import Stream, running
from tests.e2e.hosting import DETAILS, Tenant, status_of
from tests.e2e.mail import send_as_stranger
from tests.e2e.person import Person, mails_to
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually
from tests.faults import SOAK, Dice, kills

EQUAL_WITHIN = 10  # seconds after everything is well

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 180)]


@pytest.fixture(scope="module")
def domains(
    acme: Tenant, globex: Tenant, new_name: Callable[[str], str]
) -> Iterator[list[tuple[Tenant, str]]]:
    """A domain of each of two customers on two servers, for this file alone."""
    made = [(tenant, new_name("faults") + ".test") for tenant in (acme, globex)]
    for tenant, name in made:
        tenant.add_domain(name)
    yield made
    for tenant, name in made:
        tenant.person.sends(tenant.page(name, "delete"), confirm=name)


Fire = Callable[[str, Callable[[Dice], None], int, tuple[float, float]], None]


@pytest.fixture
def under_fire(stack: Stack, domains: list[tuple[Tenant, str]], rng: Dice) -> Fire:
    """Runs `fault` so many times, after pauses of a random length, while two people go on changing mailboxes;
    then nothing may be lost, doubled, or different on a mail server.
    """

    def run(name: str, fault: Callable[[Dice], None], times: int, pauses: tuple[float, float]) -> None:
        streams = [Stream(tenant, domain, rng.randrange(2**32)) for tenant, domain in domains]
        with running(streams):
            for _ in range(times):
                time.sleep(rng.uniform(*pauses))
                fault(rng)
            time.sleep(0.5)
        report = {"name": name, "seed": rng.seed_given, "kills": times}
        report["changes"] = sum(stream.acknowledged for stream in streams)
        assert_equal(stack, report)
        assert report["changes"] > 0, "no change was acknowledged, so nothing is proved"
        assert not [wrong for stream in streams for wrong in stream.lost_or_doubled(stack)]
        assert_pages_say_live(stack, streams)

    return run


def assert_equal(stack: Stack, report: dict[str, Any]) -> None:
    """Every row on every node equals the panel's, within seconds of all being well."""
    report["well_after"] = round(wait_until_well(stack), 1)
    compared = compare(stack)
    sys.stdout.write(json.dumps({**report, **compared}) + "\n")
    assert not compared["differences"], compared


def wait_until_well(stack: Stack) -> float:
    """Until the panel answers and reaches its database, broker and workers, and every agent listens; how many
    seconds that took.
    """
    started = time.monotonic()

    def well() -> bool:
        for server in stack.servers:
            socket.create_connection(server.agent, 1).close()
        checks = requests.get(f"{stack.panel}/readyz", timeout=10).json()["checks"]
        return all(checks[name] == "ok" for name in ("database", "broker", "workers"))

    eventually(well, 60, every=0.2)
    return time.monotonic() - started


def compare(stack: Stack) -> dict[str, Any]:
    """What tests/e2e/rows.py says, which asks until all is equal or its time is over."""
    arguments = [sys.executable, "-m", "tests.e2e.rows", str(stack.path), str(EQUAL_WITHIN)]
    done = subprocess.run(
        arguments, capture_output=True, text=True, env=panel_environment(stack), timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_pages_say_live(stack: Stack, streams: list[Stream]) -> None:
    """What the panel's pages say of mailboxes is what has come about."""
    for stream in streams:
        for name in [name for name, known in stream.known.items() if not known.unsure][:3]:
            stream.tenant.wait_live(stream.tenant.page(stream.domain, "mailboxes", name), 5)


def panel_environment(stack: Stack) -> dict[str, str]:
    """The panel's own database, whatever this process has made of its settings for other tests."""
    return {**os.environ, "DATABASE_URL": stack.facts["database"], "REDIS_URL": stack.facts["redis"]}


def panel_side(stack: Stack, verb: str, domain: str) -> "subprocess.Popen[str]":
    """A process of the panel's code that can be killed at will, see panel_side.py."""
    arguments = [sys.executable, "-m", "tests.e2e.panel_side", verb, domain]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True, env=panel_environment(stack))


def tell(process: "subprocess.Popen[str]", line: str) -> str:
    """Send a line to a process of ours; the line that it answers with."""
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    stdin.write(line + "\n")
    stdin.flush()
    return stdout.readline().strip()


def test_workers_killed_at_random_points(stack: Stack, under_fire: Fire) -> None:
    def fault(rng: Dice) -> None:
        stack.kill(rng.choice(["worker-servers", "worker-servers", "worker-panel", "beat"]))

    under_fire("workers killed", fault, kills(4, 200), (0.2, 1.5))


def test_agents_killed_at_random_points(stack: Stack, under_fire: Fire) -> None:
    def fault(rng: Dice) -> None:
        stack.kill(f"{rng.choice(stack.servers).short}-agent")

    under_fire("agents killed", fault, kills(4, 200), (0.1, 1.0))


def test_an_agent_killed_in_a_page(stack: Stack, domains: list[tuple[Tenant, str]], rng: Dice) -> None:
    """Pages of hundreds of rows, and the agent dies at a random moment while one is being written."""
    tenant, domain = domains[0]
    times, rows = kills(3, 50), 300
    process = panel_side(stack, "fill", domain)
    for number in range(times):
        assert tell(process, f"p{rng.randrange(16**8):08x}-{number} {rows}") == "committed"
        time.sleep(rng.uniform(0, 0.25))
        stack.kill(f"{tenant.server.short}-agent")
    process.communicate(timeout=60)
    report = {"name": "agent killed in a page", "seed": rng.seed_given, "kills": times}
    assert_equal(stack, {**report, "changes": times * rows})


def test_a_process_killed_between_commit_and_hint(
    stack: Stack, domains: list[tuple[Tenant, str]], new_name: Callable[[str], str], rng: Dice
) -> None:
    """The change is there, nobody was told, and the sweep finds it."""
    times = kills(1, 15)
    for _ in range(times):
        for tenant, domain in domains:
            name, process = new_name("vanish"), panel_side(stack, "vanish", domain)
            assert tell(process, name) == ""
            assert process.wait(60) == -signal.SIGKILL
            tenant.wait_live(tenant.page(domain, "mailboxes", name), EQUAL_WITHIN)
    report = {"name": "killed between commit and hint", "seed": rng.seed_given, "kills": times * len(domains)}
    assert_equal(stack, report)


def test_the_broker_killed_and_emptied(stack: Stack, under_fire: Fire) -> None:
    def fault(rng: Dice) -> None:
        stack.kill("redis", signal.SIGSTOP)
        for path in (stack.var / "redis").iterdir():
            if path.is_dir() or path.suffix in (".aof", ".rdb"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        stack.kill("redis", signal.SIGKILL)

    under_fire("broker killed and emptied", fault, kills(2, 30), (0.5, 2.0))


def test_postgresql_stopped_at_once(stack: Stack, under_fire: Fire) -> None:
    def fault(rng: Dice) -> None:
        stack.kill("postgres", signal.SIGQUIT)  # "immediate": no shutdown checkpoint, recovery from the log
        eventually(lambda: stack.rows_or_none("SELECT 1"), 30)

    under_fire("postgresql stopped at once", fault, kills(1, 30), (0.8, 2.0))


def test_everything_killed_in_turn(stack: Stack, under_fire: Fire) -> None:
    names = ["web", "worker-servers", "worker-panel", "beat", "redis", "postgres"]
    names += [
        f"{server.short}-{part}"
        for server in stack.servers
        for part in ("agent", "keeper", "lookup", "dovecot")
    ]

    def fault(rng: Dice) -> None:
        stack.kill(rng.choice(names))

    under_fire("everything killed in turn", fault, kills(2, 150), (0.3, 2.0))


def test_an_order_placed_while_broker_and_workers_are_away(stack: Stack) -> None:
    """It is kept, gets its verdict as soon as somebody can ask for one, and is told of once."""
    person, mark = Person(stack), token_hex(4)
    person.sign_up(f"patient-{mark}@people.test", f"person-{token_hex(8)}")
    with stack.held_down("redis"), stack.held_down("worker-panel"):
        order = person.sends("/order/", plan="10gb", username=f"p{mark}", **DETAILS)
        assert status_of(person.get(order).text) == "checking"
    wait_until_well(stack)
    eventually(lambda: status_of(person.get(order).text) != "checking", 30)
    number = order.split("/")[2]
    subjects = [mail.partition("\n")[0] for mail in mails_to(stack, f"patient-{mark}@people.test")]
    about = [subject for subject in subjects if number in subject]
    assert len(about) == len(set(about)), f"told twice: {about}"
    person.sends(f"{order}cancel/")


def test_mail_flows_while_the_panel_is_away(stack: Stack) -> None:
    """Database, broker, web and workers are gone, and mail is taken all the same."""
    mailbox = stack.facts["mailboxes"][0]["address"]
    server = stack.server_of("acme")
    with stack.held_down("postgres"), stack.held_down("redis"), stack.held_down("web"):
        assert send_as_stranger(server, mailbox)
    wait_until_well(stack)
