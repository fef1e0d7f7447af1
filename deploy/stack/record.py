"""What the stack tells of itself when all of it answers: var/stack.json, and the banner on the terminal."""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from deploy.stack.keys import write_private
from deploy.stack.layout import Layout, MailServer

SERVICES = ("smtp", "submission", "submission_alt", "submissions", "imap", "imaps", "pop3", "pop3s", "sieve")


def write(
    layout: Layout, env: dict[str, str], secrets: dict[str, str], pids: dict[str, int], seconds: float
) -> None:
    """Write stack.json (mode 0600) and print the banner; `seconds` is how long the start took."""
    demo = json.loads((layout.var / "demo.json").read_text())
    stack = describe(layout, env, pids, demo)
    write_private(layout.real_var / "stack.json", json.dumps(stack, indent=1) + "\n")
    print(banner(layout, env, secrets, stack, seconds), flush=True)


def describe(
    layout: Layout, env: dict[str, str], pids: dict[str, int], demo: dict[str, object]
) -> dict[str, object]:
    """The contents of stack.json; every path is valid outside the stack's mount namespace."""
    var, panel = layout.real_var, env["PANEL_URL"]
    return {
        "panel": panel,
        "api": f"{panel}/api",
        "dns": f"127.0.0.1:{layout.port('dns')}",
        "outbox": str(var / "outbox"),
        "pids": {"supervisor": os.getpid(), **pids},
        "servers": [describe_server(server, var) for server in layout.servers],
        "database": env["DATABASE_URL"],
        "redis": env["REDIS_URL"],
        "logs": str(var / "log"),
        "tls_ca": str(var / "ca.pem"),
        "fraudrecord": f"http://127.0.0.1:{layout.port('fraudrecord')}/api/",
        "stripe": f"http://127.0.0.1:{layout.port('stripe')}",
        "webhook_target": f"127.0.0.1:{layout.port('webhook')}",  # where webhooks may go without TLS; nothing listens
        "sign_ins": demo["sign_ins"],
        "api_keys": demo.get("api_keys", {}),
        "mailboxes": demo["mailboxes"],
    }


def describe_server(server: MailServer, var: Path) -> dict[str, object]:
    return {
        "name": server.name,
        "host": "127.0.0.1",
        **{service: server.ports[service] for service in SERVICES},
        "agent": f"https://127.0.0.1:{server.ports['agent']}",
        "dir": str(var / server.short),
    }


def banner(
    layout: Layout, env: dict[str, str], secrets: dict[str, str], stack: dict[str, object], seconds: float
) -> str:
    """URL, sign-ins, and which services are stand-ins."""
    lines = ["", f"  {stack['panel']}   ready after {seconds:.1f} s", ""]
    sign_ins: dict[str, dict[str, str]] = stack["sign_ins"]  # type: ignore[assignment]
    for who, entry in sign_ins.items():
        if entry:
            extra = f"  TOTP secret {entry['totp_secret']}" if "totp_secret" in entry else ""
            lines.append(f"  {who:<10} {entry['email']:<28} {entry['password']}{extra}")
    mailboxes: list[dict[str, str]] = stack["mailboxes"]  # type: ignore[assignment]
    lines += [f"  {'mailbox':<10} {entry['address']:<28} {entry['password']}" for entry in mailboxes]
    lines += [
        "",
        *(mail_ports(server) for server in layout.servers),
        f"  The CA of their certificates: {layout.real_var / 'ca.pem'}",
        *stand_ins(layout, env),
        f"  Everything a program needs to know: {layout.real_var / 'stack.json'}",
        "  Ctrl-C ends all of it",
    ]
    return "\n".join(lines) + "\n"


def mail_ports(server: MailServer) -> str:
    """Where mail programs reach a server: it is 127.0.0.1, whatever its name resolves to."""
    ports = server.ports
    sending = f"SMTP {ports['smtp']}, submission {ports['submission']}"
    return f"  {server.name} at 127.0.0.1: {sending}, IMAP {ports['imaps']} with TLS"


def stand_ins(layout: Layout, env: dict[str, str]) -> list[str]:
    """One line for each service on the internet that this stack only plays."""
    dns = f"127.0.0.1:{layout.port('dns')}"
    lines = [f"  DNS: zone test. only, at {dns} (a stand-in for the public DNS), open to RFC 2136 updates"]
    if urlsplit(env["FRAUDRECORD_URL"]).port == layout.port("fraudrecord"):
        lines.append(f"  FraudRecord: a STAND-IN at {env['FRAUDRECORD_URL']}, no real checks are made")
    if urlsplit(env["STRIPE_API_BASE"]).port == layout.port("stripe"):
        lines.append(f"  Stripe: a STAND-IN at {env['STRIPE_API_BASE']}, no money moves; test cards alone")
    if urlsplit(env["VIES_URL"]).port == layout.port("vies"):
        lines.append(f"  VIES: a STAND-IN at {env['VIES_URL']}, VAT ids are not really checked")
    if env["EMAIL_URL"].startswith("outbox:"):
        lines.append(f"  Mail that the panel sends is only written to {layout.real_var / 'outbox'}")
    return lines
