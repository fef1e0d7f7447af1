"""Authoritative DNS for `test.`: Knot, and the records of the mail servers' own names."""

import os
import shutil
from pathlib import Path
from string import Template

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.update

from deploy.stack.component import Component
from deploy.stack.layout import Layout, StackError
from deploy.stack.steps import directory, owned_by

KNOT_TEMPLATES = Path(__file__).resolve().parents[1] / "knot"
ZONES = ("test", "127.in-addr.arpa")
TTL = 60


def knot(layout: Layout) -> Component:
    """Authoritative DNS for `test.`, with dynamic updates from loopback; state under `var/knot`."""
    home = layout.var / "knot"

    def prepare() -> None:
        directory(home, "knot", 0o750)
        directory(layout.run / "knot", "knot", 0o750)
        values = {
            "home": home,
            "run": layout.run / "knot",
            "user": 'user: "knot:knot"' if os.geteuid() == 0 else "",
            "port": layout.port("dns"),
            "address": layout.dns_address,
        }
        template = Template((KNOT_TEMPLATES / "knot.conf").read_text())
        (home / "knot.conf").write_text(template.substitute(values))
        for zone in ZONES:
            if not (home / f"{zone}.zone").exists():
                shutil.copy(KNOT_TEMPLATES / f"{zone}.zone", home / f"{zone}.zone")
                owned_by(home / f"{zone}.zone", "knot")

    def ready() -> bool:
        question = dns.message.make_query("test.", "SOA")
        try:
            answered = bool(ask(layout, question).answer)
        except (OSError, dns.exception.DNSException):
            return False
        if answered:
            publish_servers(layout)
        return answered

    return Component("dns", ["knotd", "--config", str(home / "knot.conf")], prepare=prepare, ready=ready)


def publish_servers(layout: Layout) -> None:
    """Addresses of the mail servers both ways, and the SPF record that customers include."""
    forward, backward = dns.update.UpdateMessage("test."), dns.update.UpdateMessage("127.in-addr.arpa.")
    for server in layout.servers:
        forward.replace(f"{server.name}.", TTL, "A", server.address)
        reversed_address = ".".join(reversed(server.address.split(".")))
        backward.replace(f"{reversed_address}.in-addr.arpa.", TTL, "PTR", f"{server.name}.")
    addresses = " ".join(f"ip4:{server.address}" for server in layout.servers)
    forward.replace("_spf.mxpanel.test.", TTL, "TXT", f'"v=spf1 {addresses} ~all"')
    for update in (forward, backward):
        reply = ask(layout, update)
        if reply.rcode() != dns.rcode.NOERROR:
            raise StackError(
                f"Knot refuses the records of the mail servers: {dns.rcode.to_text(reply.rcode())}"
            )


def ask(layout: Layout, message: dns.message.Message) -> dns.message.Message:
    """Knot's reply over TCP, where a server that is not up yet refuses at once."""
    return dns.query.tcp(message, "127.0.0.1", timeout=2, port=layout.port("dns"))
