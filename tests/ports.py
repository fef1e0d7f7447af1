"""Ports of loopback that nobody listens at."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path

LOWEST, HIGHEST = 30_000, 65_535  # above what the stacks of tests and benchmarks take
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")  # of these the kernel gives each connection one


def free_ports(count: int) -> list[int]:
    """Different ports, free for TCP and UDP at this moment. No outgoing connection takes one of them before they are
    used, nor while what listens there is started again, unless the kernel gives these all ports there are.
    """
    first, last = map(int, OUTGOING.read_text().split())
    ours = [port for port in range(LOWEST, HIGHEST + 1) if not first <= port <= last]
    found: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(ours, len(ours)) or [0] * count:
            if len(found) == count:
                break
            tcp = held.enter_context(socket.socket())
            udp = held.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            found.append(tcp.getsockname()[1])
    assert len(found) == count, f"no {count} ports are free"
    return found


def free_port() -> int:
    return free_ports(1)[0]
