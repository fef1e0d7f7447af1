"""Ports of loopback that nobody listens at."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path

LOWEST = 22_000  # above the ports of the tests' own stack
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")  # of these the kernel gives each connection one


def free_ports(count: int) -> list[int]:
    """Different ports, free for TCP and UDP at this moment. No outgoing connection takes one of them before they are
    used, nor while what listens there is started again.
    """
    highest = int(OUTGOING.read_text().split()[0])
    found: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(range(LOWEST, highest), highest - LOWEST):
            if len(found) == count:
                return found
            tcp = held.enter_context(socket.socket())
            udp = held.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    raise AssertionError(f"no {count} ports are free below {highest}")


def free_port() -> int:
    return free_ports(1)[0]
