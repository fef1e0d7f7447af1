"""Configuration of all daemons, made from the settings and the templates beside this module.

A template holds `{{ name }}` where a value goes; a value is a number, a name, an address or a path that the
settings have checked, or lines that this module made of such values, so nothing else can become a line of
configuration."""

import pwd
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mailnode import schema
from mailnode.files import write
from mailnode.settings import Settings

TEMPLATES = Path(__file__).parent / "templates"

# https://ssl-config.mozilla.org, "intermediate": TLS 1.2 suites (those of 1.3 are all fine and not listed).
CIPHERS = ":".join(
    f"{exchange}-{suite}"
    for suite in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for exchange in ("ECDHE-ECDSA", "ECDHE-RSA", "DHE-RSA")
)

# Rspamd's modules that ask services on the internet, or judge a client by them.
INTERNET_MODULES = (
    "asn",
    "fuzzy_check",
    "hfilter",
    "mx_check",
    "once_received",
    "phishing",
    "rbl",
    "url_redirector",
)

# Which template becomes which file of the server's directory. The first part names the daemon.
POSTFIX = {f"postfix/{name}": f"postfix/etc/{name}" for name in (
    "main.cf", "master.cf", "domains.cf", "mailboxes.cf", "roles.cf", "senders.cf", "transports.cf")}  # fmt: skip
DOVECOT = {f"dovecot/{name}": f"dovecot/{name}" for name in (
    "dovecot.conf", "doveadm-key.conf", "node.conf.ext", "secrets.conf.ext", "usage.conf.ext")}  # fmt: skip
OTHERS = {"dovecot/before.sieve": "dovecot/sieve/before.sieve", "redis/redis.conf": "redis/redis.conf"}


# The domain `d` and customer `c` of a role address (RFC 2142) that no mailbox has; %-letters are Postfix's.
ROLE = """domains d JOIN customers c ON c.id = d.customer WHERE d.name = '%d' AND d.accepts = 1 AND '%u' IN
    ('postmaster', 'abuse') AND c.contact <> '' AND NOT EXISTS
    (SELECT 1 FROM mailboxes m WHERE m.domain = d.id AND m.local_part = '%u')"""


@dataclass(frozen=True)
class File:
    """One configuration file: its path in the server's directory, its text, and the daemon that reads it."""

    path: str
    text: str
    mode: int = 0o644

    @property
    def daemon(self) -> str:
        """The daemon that has to take the file up: "postfix", "dovecot", "rspamd" or "redis"."""
        return self.path.split("/", 1)[0]


def render(settings: Settings) -> list[str]:
    """Write every file that differs; returns the paths of those that were written, relative to the
    directory."""
    changed = [file for file in files(settings) if not is_current(settings, file)]
    for file in changed:
        install(settings, file)
    if not (settings.directory / "dovecot/sieve/before.svbin").exists():
        compile_sieve(settings)
    prepare_queue(settings)
    return [file.path for file in changed]


def is_current(settings: Settings, file: File) -> bool:
    """Whether the file stands there as it should."""
    path = settings.directory / file.path
    return path.exists() and path.read_text() == file.text


def install(settings: Settings, file: File) -> None:
    """Put one file in its place."""
    write(settings.directory / file.path, file.text.encode(), mode=file.mode)
    if file.path.endswith(".sieve"):
        compile_sieve(settings)


def prepare_queue(settings: Settings) -> None:
    """Have Postfix make the folders of its queue, and look whether all is as it wants it."""
    command = ["postfix", "-c", str(settings.directory / "postfix/etc"), "check"]
    subprocess.run(command, check=True, capture_output=True, text=True)


def compile_sieve(settings: Settings) -> None:
    """Compile the script that runs before everybody's own: Dovecot's users cannot write beside it."""
    script = settings.directory / "dovecot/sieve/before.sieve"
    command = ["sievec", "-c", str(settings.directory / "dovecot/dovecot.conf"), str(script)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def files(settings: Settings) -> list[File]:
    """Every configuration file of the server."""
    values = _values(settings)
    made = [File(path, _fill(template, values)) for template, path in (POSTFIX | DOVECOT | OTHERS).items()]
    made += [File(f"rspamd/{name}", _fill(f"rspamd/{name}", values)) for name in _rspamd_templates()]
    if not settings.internet:
        off = "# This server has no internet.\nenabled = false;\n"
        made += [File(f"rspamd/local.d/{module}.conf", off) for module in INTERNET_MODULES]
    secret = ("dovecot/doveadm-key.conf",)
    return [File(file.path, file.text, 0o600) if file.path in secret else file for file in made]


def _rspamd_templates() -> list[str]:
    root = TEMPLATES / "rspamd"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def _fill(template: str, values: dict[str, str]) -> str:
    text = (TEMPLATES / template).read_text()
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: values[match[1]], text)


def _values(settings: Settings) -> dict[str, str]:
    """Everything that templates may name."""
    named = settings.users
    users = {field: getattr(named, field) for field in named.__struct_fields__}
    ports = {field: str(getattr(settings.ports, field)) for field in settings.ports.__struct_fields__}
    return users | ports | {
        "dir": str(settings.directory),
        "name": settings.name,
        "short_name": settings.name.partition(".")[0],
        "ciphers": CIPHERS,
        "holds": schema.HOLDS,
        "role": " ".join(ROLE.split()),
        "message_size_limit": str(settings.message_size_limit),
        "connections_per_address": str(settings.connections_per_address),
        "interfaces": _interfaces(settings),
        "protocols": "all" if any(":" in address for address in settings.listen) else "ipv4",
        "exchange": settings.exchange or "",
        "listeners": _listeners(settings),
        "listen": ", ".join("*" if address == "0.0.0.0" else address for address in settings.listen),  # noqa: S104
        "waiting_transports": "" if settings.sends_abroad else "smtp",
        "failure_delay": "2 secs" if settings.delay_failed_sign_ins else "0",
        "penalty": "" if settings.delay_failed_sign_ins else _no_penalty(),
        "vmail_uid": str(pwd.getpwnam(named.vmail).pw_uid),
        "api_key": (settings.agent_directory / "doveadm.key").read_text().strip(),
        "hs_cache": settings.hs_cache or f"{settings.directory}/rspamd/db",
        "test_patterns": "true" if settings.test_patterns else "false",
        "dns": _rspamd_dns(settings),
        "tlds": "" if settings.internet else f'url_tld = "{settings.directory}/rspamd/tlds.dat";',
    }  # fmt: skip


def _interfaces(settings: Settings) -> str:
    """Postfix's own addresses. The one for exchange with other servers need not be one of an interface (any
    loopback address serves), so it is named apart (proxy_interfaces): Postfix sends no mail to itself at
    either."""
    if any(address in ("0.0.0.0", "::") for address in settings.listen):  # noqa: S104 a comparison
        return "all"
    return ", ".join(settings.listen)


def _listeners(settings: Settings) -> str:
    """The services of master.cf that listen to clients, one block each."""
    ports = settings.ports
    exchange = [_endpoint(address, ports.smtp) for address in settings.listen]
    exchange += [f"{settings.exchange}:25"] if settings.exchange else []
    blocks = [f"{endpoint} inet n - n - - smtpd\n    -o syslog_name=postfix/mx\n" for endpoint in exchange]
    starttls, wrapped = "smtpd_tls_security_level=encrypt", "smtpd_tls_wrappermode=yes"
    for port, tls, entrance in (
        (ports.submission, starttls, "submission"),
        (ports.submission_alt, starttls, "submission"),
        (ports.submissions, wrapped, "submissions"),
    ):
        for address in settings.listen:
            values = {"listener": _endpoint(address, port), "tls": tls, "entrance": entrance}
            blocks.append(_fill("postfix/submission", values))
    return "".join(blocks).rstrip("\n")


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _no_penalty() -> str:
    """Dovecot delays everybody from an address that failed to sign in, and tests all come from one."""
    return "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}"


def _rspamd_dns(settings: Settings) -> str:
    """Rspamd needs a resolver that answers: without one every scan runs into its timeout."""
    if not settings.dns:
        return ""
    servers = ", ".join(f'"{server}"' for server in settings.dns)
    return f"dns {{\n  nameserver = [{servers}];\n  timeout = 1s;\n  retransmits = 1;\n}}"
