"""What the look-up service costs: the time of an answer at 500 questions a second, and mail accepted with it against
the same mail server without any policy service (milter and quota are off on both).
"""

import asyncio
import itertools
import random
import time
from statistics import median

from tests.bench.accept import BARE, DOMAIN, LOCAL_PARTS, MESSAGES, ROUNDS, accepted, strip
from tests.bench.figures import figure, percentile
from tests.bench.lookup import MAILBOXES_A_DOMAIN
from tests.bench.scratch_node import ScratchNode
from tests.bench.stack import Stack

RATE = 500  # questions a second, whether or not the ones before are answered
SECONDS = 10
CONNECTIONS = 50  # smtpd processes
DOMAINS = 100
MILTERS = tuple(line for line in BARE if "milters" in line)


def run(stack: Stack) -> None:
    directory = stack.var / "scratch"
    with ScratchNode(directory / "q") as asked:
        local_parts = [f"box-{number}" for number in range(MAILBOXES_A_DOMAIN)]
        asked.fill({f"d{number}.bench.test": local_parts for number in range(DOMAINS)})
        asked.start("lookup")
        times = asyncio.run(ask_at_rate(str(asked.settings.lookup_socket)))
    goal = "p99 <= 5 ms"
    figure(
        f"answer of the look-up service at {RATE}/s, p99",
        percentile(times, 99),
        "ms",
        n=len(times),
        goal=goal,
    )
    with ScratchNode(directory / "w") as with_it, ScratchNode(directory / "o") as without:
        nodes = (with_it, without)
        strip(with_it, MILTERS)
        strip(without, BARE)
        for node in nodes:
            node.fill({DOMAIN: LOCAL_PARTS})
        with_it.start("lookup")
        for node in nodes:
            node.start("dovecot", "postfix")
        rounds = [[accepted(node.ports["smtp"], node.directory) for node in nodes] for _ in range(1 + ROUNDS)]
    rate, bare = (median(column) for column in zip(*rounds[1:], strict=True))
    name = "mail accepted on port 25 with the look-up service against without"
    figure(name, rate, "1/s", n=ROUNDS * MESSAGES, baseline=bare, goal="ratio >= 0.8")


async def ask_at_rate(socket: str) -> list[float]:
    """Milliseconds of each answer, from when its question was due: as Postfix asks for signed-in mailboxes, a
    recipient and then the end of the message, over connections of smtpd's own.
    """
    drawn, numbers = random.Random(1), itertools.count()
    connections: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        connections.put_nowait(await asyncio.open_unix_connection(socket))
    times: list[float] = []

    async def message(due: float) -> None:
        connection = await connections.get()
        user = f"box-{drawn.randrange(MAILBOXES_A_DOMAIN)}@d{drawn.randrange(DOMAINS)}.bench.test"
        shared = {"sasl_username": user, "sender": user, "instance": f"1.{next(numbers)}", "size": "2048"}
        shared |= {"client_address": "192.0.2.1", "client_port": "1234", "request": "smtpd_access_policy"}
        for state in (
            {"protocol_state": "RCPT"},
            {"protocol_state": "END-OF-MESSAGE", "recipient_count": "1"},
        ):
            await ask(connection, shared | state | {"recipient": "somebody@elsewhere.test"})
            times.append((time.perf_counter() - due) * 1_000)
            due = time.perf_counter()
        connections.put_nowait(connection)

    began, tasks = time.perf_counter(), []
    for number in range(RATE * SECONDS // 2):
        due = began + number * 2 / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(message(due)))
    await asyncio.gather(*tasks)
    return times


async def ask(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], question: dict[str, str]
) -> None:
    """One question; RuntimeError where something speaks against it."""
    reader, writer = connection
    writer.write(("".join(f"{name}={value}\n" for name, value in question.items()) + "\n").encode())
    answer = await reader.readuntil(b"\n\n")
    if answer != b"action=DUNNO\n\n":
        raise RuntimeError(f"{question} was answered {answer!r}")
