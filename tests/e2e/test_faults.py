"""Whatever dies, and whenever: soon after things are well again, every mail server holds what the panel wishes.

Few kills in `make test` and many in `make soak`, see tests/faults.py.
"""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from secrets import token_hex

import pytest

from tests.e2e.fire import EQUAL_WITHIN, Fire, assert_equal, panel_environment, wait_until_well
from tests.e2e.hosting import DETAILS, Tenant, status_of
from tests.e2e.mail import send_as_stranger
from tests.e2e.person import Person, mails_to
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually
from tests.faults import SOAK, Dice, kills

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 180)]


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
        workers = ["worker-servers", "worker-servers", "worker-slow", "worker-panel", "beat"]
        stack.kill(rng.choice(workers), after=rng.uniform(0, 4))

    under_fire("workers killed", fault, kills(4, 200), (0.2, 1.5))


def test_agents_killed_at_random_points(stack: Stack, under_fire: Fire) -> None:
    def fault(rng: Dice) -> None:
        stack.kill(f"{rng.choice(stack.servers).short}-agent", after=rng.uniform(0, 1))

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

    def told() -> list[str]:
        """The subjects of the mails about it."""
        subjects = [mail.partition("\n")[0] for mail in mails_to(stack, f"patient-{mark}@people.test")]
        return [subject for subject in subjects if number in subject]

    about = eventually(told, 30)
    assert len(about) == len(set(about)), f"told twice: {about}"
    person.sends(f"{order}cancel/")


def test_mail_flows_while_the_panel_is_away(stack: Stack) -> None:
    """Database, broker, web and workers are gone, and mail is taken all the same."""
    mailbox = stack.facts["mailboxes"][0]["address"]
    server = stack.server_of("acme")
    with stack.held_down("postgres"), stack.held_down("redis"), stack.held_down("web"):
        assert send_as_stranger(server, mailbox)
    wait_until_well(stack)
