"""What the keeper can do, each verb with its arguments checked. Everything here runs as root."""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mailnode import render, renewal, schema
from mailnode.files import write
from mailnode.processes import rspamd
from mailnode.settings import Settings

COMMAND_DEADLINE = 60
QUEUES = ("maildrop", "incoming", "active", "deferred", "hold")
RECIPIENT = re.compile(r"\A(?:[a-z0-9][a-z0-9._-]{0,63}@)?[a-z0-9][a-z0-9.-]{0,252}\Z")
HOME = re.compile(r"\A[0-9a-f]{32}\Z")
MAX_RECIPIENTS = 10_000
SINGLY = 50  # messages that are tried one by one

# Since when a home's mail could be reached by nobody: since its mailbox went, or before that its domain, which
# the panel lets go first (a mailbox is only said to be gone when its domain cannot be restored any more).
GONE_AT = """SELECT min(h.gone_at, coalesce(d.gone_at, h.gone_at)) FROM gone_homes h
LEFT JOIN domain_names d ON d.id = h.domain AND d.id NOT IN (SELECT id FROM domains) WHERE h.id = ?"""

# Where each daemon writes its process id, and what the process is called.
PID_FILES = {
    "postfix": ("postfix/spool/pid/master.pid", "master"),
    "dovecot": ("dovecot/run/master.pid", "dovecot"),
    "redis": ("redis/redis.pid", "redis-server"),
}


class Refusal(Exception):
    """The keeper will not do this; the text says why."""


def status(settings: Settings) -> dict[str, Any]:
    """Which daemons run, by the locks and process ids that they keep, and how many messages are queued."""
    top = settings.directory
    services = [
        *([daemon, _runs(top / path, name)] for daemon, (path, name) in PID_FILES.items()),
        ["rspamd", _listener(top / "run/rspamd/milter.sock") is not None],
        ["lookup", _listener(settings.lookup_socket) is not None],
    ]
    spool = top / "postfix/spool"
    queue = sum(len(files) for name in QUEUES for _, _, files in os.walk(spool / name))
    return {"services": services, "queue": queue}


def flush(settings: Settings) -> dict[str, Any]:
    """Try to deliver everything in the queue now."""
    _run(["postqueue", "-c", _postfix(settings), "-f"])
    return {}


def retry(settings: Settings, recipients: list[str]) -> dict[str, Any]:
    """Try to deliver now what waits for these recipients: addresses (with any +tag), or domains for all of
    theirs."""
    if not isinstance(recipients, list) or len(recipients) > MAX_RECIPIENTS:
        raise Refusal(f"retry takes a list of at most {MAX_RECIPIENTS} recipients")
    if not all(isinstance(text, str) and RECIPIENT.match(text) for text in recipients):
        raise Refusal("a recipient is an address or a domain")
    wanted = set(recipients)
    waiting = []
    for line in _run(["postqueue", "-c", _postfix(settings), "-j"]).splitlines():
        message = json.loads(line)
        addresses = {_untagged(recipient["address"]) for recipient in message["recipients"]}
        domains = {address.rpartition("@")[2] for address in addresses}
        if message["queue_name"] == "deferred" and (addresses | domains) & wanted:
            waiting.append(message["queue_id"])
    if len(waiting) > SINGLY:  # one process each would take longer than trying all that waits once
        _run(["postqueue", "-c", _postfix(settings), "-f"])
    else:
        for queue_id in waiting:
            _run(["postqueue", "-c", _postfix(settings), "-i", queue_id])
    return {"messages": len(waiting)}


def refresh(settings: Settings) -> dict[str, Any]:
    """Render the configuration, and reload each daemon whose files changed and passed its check. A daemon
    whose new files do not pass gets its old ones back, and the refusal says which."""
    changed = [file for file in render.files(settings) if not render.is_current(settings, file)]
    reloaded = []
    for daemon in sorted({file.daemon for file in changed}):
        mine = [file for file in changed if file.daemon == daemon]
        before = {file.path: _read(settings.directory / file.path) for file in mine}
        for file in mine:
            render.install(settings, file)
        try:
            CHECKS[daemon](settings)
        except subprocess.CalledProcessError:
            _put_back(settings, before)
            raise Refusal(
                f"the new configuration of {daemon} does not pass its check; the old one stays"
            ) from None
        if reload(settings, daemon):
            reloaded.append(daemon)
    return {"changed": [file.path for file in changed], "reloaded": reloaded}


def purge(settings: Settings, home: str) -> dict[str, Any]:
    """Remove the mail of a mailbox for good: only one that node.db says is gone, itself or with its domain, for
    as many days as it is kept, and only beneath the mail directory. Gone already is as good."""
    if not HOME.match(home):
        raise Refusal("a home is named by 32 hexadecimal digits")
    node = schema.connect_read_only(settings.database)
    try:
        present = node.execute("SELECT 1 FROM mailboxes WHERE id = ?", (home,)).fetchone()
        row = node.execute(GONE_AT, (home,)).fetchone()
    finally:
        node.close()
    path = settings.mail / home[:2] / home
    if row is None and not present and not path.exists():
        return {}  # the node has purged it by itself
    if present or row is None:
        raise Refusal("this mailbox is not gone")
    if row[0] + settings.deleted_home_days * 86_400 > time.time():
        raise Refusal(f"a home is kept {settings.deleted_home_days} days after its mailbox is gone")
    if path.is_symlink() or path.parent.is_symlink():
        raise Refusal("this home is a symbolic link")
    if path.exists():
        shutil.rmtree(
            path
        )  # does not follow links, and is safe against their exchange (see the Python manual)
    return {}


def certificate(settings: Settings, chain: str, key: str) -> dict[str, Any]:
    """Install another certificate for the mail services: the chain must fit the key and still be valid."""
    try:
        first = x509.load_pem_x509_certificates(chain.encode())[0]
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError):
        raise Refusal("chain and key must be PEM") from None
    if first.public_key() != private.public_key():
        raise Refusal("the certificate is not of this key")
    if first.not_valid_after_utc.timestamp() < time.time():
        raise Refusal("the certificate is over")
    write(settings.tls / "key.pem", key.encode(), mode=0o600)
    write(settings.tls / "cert.pem", chain.encode(), mode=0o644)
    return {"reloaded": [daemon for daemon in ("postfix", "dovecot") if reload(settings, daemon)]}


def renew(settings: Settings, step: str, anew: bool = False) -> dict[str, Any]:
    """Take a step of a renewal of the agent's key and certificate; the answer to `begin` holds the next key, which is
    another one than it gave before if `anew`."""
    try:
        match step:
            case "begin":
                key, pin = renewal.begin(settings, anew=anew is True)
                return {"key": key, "certificate_sha256": pin}
            case "switch":
                return {"key": None, "certificate_sha256": renewal.switch(settings)}
            case "end":
                return {"key": None, "certificate_sha256": renewal.end(settings)}
    except renewal.NotYet as error:
        raise Refusal(str(error)) from None
    raise Refusal("a renewal has the steps begin, switch and end")


def reload(settings: Settings, daemon: str) -> bool:
    """Have a running daemon read its configuration again; returns False when it does not run."""
    if daemon == "rspamd":  # it writes no process id when it stays in the foreground
        main = _listener(settings.directory / "run/rspamd/milter.sock")
        if main is not None:
            os.kill(main, signal.SIGHUP)
        return main is not None
    path, name = PID_FILES[daemon]
    if not _runs(settings.directory / path, name):
        return False
    if daemon == "postfix":
        _run(["postfix", "-c", _postfix(settings), "reload"])
    elif daemon == "dovecot":
        _run(["doveadm", "-c", str(settings.directory / "dovecot/dovecot.conf"), "reload"])
    return daemon != "redis"  # which takes its few settings at its next start


def _check_postfix(settings: Settings) -> None:
    _run(["postfix", "-c", _postfix(settings), "check"])


def _check_dovecot(settings: Settings) -> None:
    _run(["doveconf", "-c", str(settings.directory / "dovecot/dovecot.conf"), "-n"])


def _check_rspamd(settings: Settings) -> None:
    _run(rspamd(settings, "rspamadm", "configtest"))


def _check_redis(settings: Settings) -> None:
    """Redis has no check of its own; its file holds nothing that varies but paths, which the settings
    checked."""


CHECKS: dict[str, Callable[[Settings], None]] = {
    "postfix": _check_postfix,
    "dovecot": _check_dovecot,
    "rspamd": _check_rspamd,
    "redis": _check_redis,
}


def _put_back(settings: Settings, before: dict[str, str]) -> None:
    for path, text in before.items():
        if text:
            write(
                settings.directory / path,
                text.encode(),
                mode=(settings.directory / path).stat().st_mode & 0o777,
            )
        else:
            (settings.directory / path).unlink(missing_ok=True)


def _run(command: list[str]) -> str:
    """Run a command of a daemon's own; its output stays here. Raises CalledProcessError, TimeoutExpired."""
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        timeout=COMMAND_DEADLINE,
        cwd="/",
        stdin=subprocess.DEVNULL,
    )
    return done.stdout


def _postfix(settings: Settings) -> str:
    return str(settings.directory / "postfix/etc")


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _runs(path: Path, name: str) -> bool:
    """Whether the process of a pid file is there, and is the daemon and not a later process of the same
    number."""
    try:
        number = int(path.read_text().split()[0])
        return Path(f"/proc/{number}/comm").read_text().strip() == name
    except (OSError, ValueError, IndexError):
        return False


def _listener(path: Path) -> int | None:
    """The process that listens on a unix socket, by the kernel's word; None when nobody does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        try:
            client.connect(str(path))
        except OSError:
            return None
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[0])


def _untagged(address: str) -> str:
    """An address without its +tag, in lower case."""
    local_part, _, domain = address.lower().rpartition("@")
    return f"{local_part.partition('+')[0]}@{domain}"
