"""The daemons of a mail server: how each is started in the foreground, and how one sees that it is up.

One list for whoever supervises them (the local stack, systemd units) and for the agent's status. Order is the
order of starting. A mail server without an effective revision must not take mail (an empty list of domains
would turn mail away for good): start those with `after_effective` only when `wait-effective` has returned.
"""

import sys

from msgspec import Struct

from mailnode.settings import Settings


class Process(Struct, frozen=True, kw_only=True):
    """One daemon: `argv` in the foreground as root (each drops its rights by itself), `ready` the unix socket
    that it makes when it is up, `stop` the signal that ends it in good order."""

    name: str
    argv: list[str]
    ready: str
    stop: str = "TERM"
    after_effective: bool = False


def processes(settings: Settings) -> list[Process]:
    """Every daemon, in the order of starting."""
    top = str(settings.directory)
    own = [sys.executable, "-m", "mailnode", "--dir", top]
    return [
        Process(name="keeper", argv=[*own, "keeper"], ready=str(settings.keeper_socket)),
        Process(name="agent", argv=[*own, "agent"], ready=_endpoint(settings)),
        Process(name="lookup", argv=[*own, "lookup"], ready=str(settings.lookup_socket)),
        Process(name="redis", argv=_as_user(settings, ["redis-server", f"{top}/redis/redis.conf"]),
                ready=f"{top}/redis/redis.sock"),
        Process(name="rspamd", argv=rspamd(settings, "rspamd", "-f"), ready=f"{top}/run/rspamd/milter.sock"),
        Process(name="dovecot", argv=["dovecot", "-F", "-c", f"{top}/dovecot/dovecot.conf"],
                ready=f"{top}/dovecot/run/auth-postfix", after_effective=True),
        Process(name="postfix", argv=["/usr/lib/postfix/sbin/master", "-s", "-c", f"{top}/postfix/etc"],
                ready=f"{top}/postfix/spool/public/pickup", after_effective=True),
    ]  # fmt: skip


def rspamd(settings: Settings, program: str, *arguments: str) -> list[str]:
    """The command line of rspamd or rspamadm for this server's own directories; `--var` goes before a
    subcommand."""
    top = f"{settings.directory}/rspamd"
    places = {"LOCAL_CONFDIR": top, "DBDIR": f"{top}/db", "RUNDIR": f"{top}/run", "LOGDIR": f"{top}/log"}
    variables = [f"--var={name}={path}" for name, path in places.items()]
    if program == "rspamadm":
        return [program, *variables, *arguments, "-c", "/etc/rspamd/rspamd.conf"]
    user = ["-u", settings.users.rspamd, "-g", settings.users.rspamd]
    return [program, "-c", "/etc/rspamd/rspamd.conf", *variables, *user, *arguments]


def _as_user(settings: Settings, argv: list[str]) -> list[str]:
    """Redis does not drop root by itself; it serves Rspamd alone, so it runs as Rspamd's user."""
    user = settings.users.rspamd
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *argv]


def _endpoint(settings: Settings) -> str:
    """Where the agent can be reached on this machine."""
    address = settings.agent.address
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, address)  # noqa: S104 a comparison
    return f"{host}:{settings.agent.port}"
