"""Mail accepted a second on port 25: the stack's mail server with everything on against the same one bare.

Bare: a mail server of the benchmark's own, rendered from the same templates, then stripped of milter, policy
and quota. Each message goes to another mailbox; homes exist already when it counts.
"""

import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from accounts.models import Customer, User
from domains.models import Domain, add_domain
from tests.bench.changes_rate import READY_HASH, wait_until_effective
from tests.bench.figures import figure
from tests.bench.scratch_node import ScratchNode
from tests.bench.stack import Stack

DOMAIN = "accept.bench.test"
MESSAGES = 1_000  # and mailboxes: smtp-source numbers its recipients
SESSIONS = 20
MESSAGE_BYTES = 2_048
ROUNDS = 3
DRAINED_WITHIN = 300
BARE = (
    "smtpd_milters =",
    "non_smtpd_milters =",
    "smtpd_recipient_restrictions = reject_non_fqdn_recipient, reject_unlisted_recipient",
    "smtpd_end_of_data_restrictions =",
)
LOCAL_PARTS = [f"{number}box" for number in range(MESSAGES + 1)]


def run(stack: Stack) -> None:
    add_mailboxes(stack)
    with ScratchNode(stack.var / "scratch" / "b") as bare:
        strip(bare, BARE)
        bare.fill({DOMAIN: LOCAL_PARTS})
        bare.start("dovecot", "postfix")
        both = (stack.server["smtp"], stack.node), (bare.ports["smtp"], bare.directory)
        rounds = [[accepted(*server) for server in both] for _ in range(1 + ROUNDS)]
    # The first round makes the homes, and does not count.
    with_everything, bare_rate = (median(column) for column in zip(*rounds[1:], strict=True))
    name = "mail accepted on port 25, everything on against bare"
    figure(name, with_everything, "1/s", n=ROUNDS * MESSAGES, baseline=bare_rate)


def add_mailboxes(stack: Stack) -> None:
    customer = Customer.objects.get(username=stack.customer["customer"])
    owner = User.objects.get(email=stack.customer["email"])
    domain = customer.domains.live().filter(name=DOMAIN).first() or add_domain(customer, DOMAIN, by=owner)
    present = set(domain.mailboxes.live().values_list("local_part", flat=True))
    for local_part in LOCAL_PARTS:
        if local_part not in present:
            domain.add_mailbox(local_part, quota_mb=0, by=owner, password_hash=READY_HASH)
    server = Domain.objects.get(pk=domain.pk).server
    assert server
    wait_until_effective(server.pk)


def strip(node: ScratchNode, settings: Iterable[str]) -> None:
    """Take quota out of what was rendered, and what these settings of Postfix say."""
    subprocess.run(["postconf", "-c", str(node.postfix), "-e", *settings], check=True)
    dovecot = node.directory / "dovecot" / "dovecot.conf"
    rendered = dovecot.read_text()
    stripped = rendered.replace("mail_plugins = quota quota_clone", "mail_plugins =")
    if stripped == rendered:
        raise RuntimeError("Dovecot's quota plugins are not where this benchmark looks for them")
    dovecot.write_text(stripped)


def accepted(port: int, node: Path) -> float:
    """Messages a second until the last of MESSAGES is accepted; returns when all are delivered too."""
    command = ["smtp-source", "-s", str(SESSIONS), "-m", str(MESSAGES), "-l", str(MESSAGE_BYTES), "-N"]
    command += ["-f", "stranger@elsewhere.test", "-t", f"box@{DOMAIN}", f"inet:127.0.0.1:{port}"]
    started = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - started
    wait_until_drained(node / "postfix" / "spool")
    return MESSAGES / seconds


def wait_until_drained(spool: Path) -> None:
    """Until the queue is empty. TimeoutError when mail stays, RuntimeError when mail is put off."""
    deadline = time.monotonic() + DRAINED_WITHIN
    while any(file.is_file() for queue in ("incoming", "active") for file in (spool / queue).rglob("*")):
        if time.monotonic() > deadline:
            raise TimeoutError("The queue does not empty.")
        time.sleep(0.1)
    if any(file.is_file() for file in (spool / "deferred").rglob("*")):
        raise RuntimeError("Mail was put off; see the mail log.")
