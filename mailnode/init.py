"""Make a mail server's directory: folders, databases, keys and certificates, each with its owner and mode.

Root only and idempotent: what exists keeps its content, and gets its owner and mode again. Nothing secret is
readable by others than those who need it:

| Path | Owner, mode | Why |
|---|---|---|
| db/ node.db | root:maildb 2770, 0660 | its readers must be able to write: WAL demands it |
| secrets/ secrets.db | agent:dovecot 2770, 0660 | password hashes |
| sends/ sends.db | lookup:agent 2770, 0660 | what the look-up service counts, for the agent to read |
| log/mail.log | root:lookup 0640 | Postfix, as root, appends to the file that it finds; the look-up service reads it |
| usage/ usage.db | dovecot:maildb 2770, 0660 | written by Dovecot's dict process, which is user dovecot |
| dkim/ | agent:_rspamd 2750 | key files 0640 |
| agent/ | root:agent 0750, 0640 | hash of the bearer key, certificate, Dovecot's API key: the agent reads them, and
  may not write, for root makes configuration of the last |
| enrol/agent.key | root 0600 | the bearer key in clear, for enrolling the server in the panel |
| tls/key.pem | root 0600 | Postfix and Dovecot read it before they drop root |
| mail/ | vmail 0700 | mail |
| run/ | root 0755 | sockets; each has a mode of its own |
"""

import os
import secrets as random
from pathlib import Path

from mailnode import certificates, renewal, schema
from mailnode.files import Place, write
from mailnode.sends import create_sends
from mailnode.settings import Settings


def directories(settings: Settings) -> list[Place]:
    """Every directory, parents first."""
    top, users = settings.directory, settings.users
    return [
        Place(top, 0o755),
        Place(settings.database.parent, 0o2770, "root", users.database_group),
        Place(settings.secrets.parent, 0o2770, users.agent, users.dovecot),
        Place(settings.usage.parent, 0o2770, users.dovecot, users.database_group),
        Place(settings.sends.parent, 0o2770, users.lookup, users.agent),
        Place(settings.dkim, 0o2750, users.agent, users.rspamd),
        Place(settings.dkim / "stage", 0o700, users.agent, users.agent),
        Place(settings.agent_directory, 0o750, "root", users.agent),
        Place(settings.key_file.parent, 0o700),
        Place(settings.tls, 0o755),
        Place(settings.mail, 0o700, users.vmail, users.vmail),
        Place(top / "run", 0o755),
        Place(settings.doveadm_socket.parent, 0o755),
        Place(top / "run/rspamd", 0o2750, users.rspamd, users.postfix),
        Place(top / "log", 0o755),
        Place(top / "postfix", 0o755),
        Place(top / "postfix/etc", 0o755),
        Place(top / "postfix/spool", 0o755),
        Place(top / "postfix/data", 0o700, users.postfix, users.postfix),
        Place(top / "dovecot", 0o755),
        Place(top / "dovecot/run", 0o755),
        Place(top / "dovecot/state", 0o755),
        Place(top / "dovecot/sieve", 0o755),
        Place(top / "rspamd", 0o755),
        *(Place(top / "rspamd" / name, 0o755) for name in ("local.d", "override.d")),
        *(Place(top / "rspamd" / name, 0o750, users.rspamd, users.rspamd) for name in ("db", "run", "log")),
        Place(top / "redis", 0o750, users.rspamd, users.rspamd),
    ]


def files(settings: Settings) -> list[Place]:
    """The database files, and the log."""
    users = settings.users
    return [
        Place(settings.database, 0o660, users.agent, users.database_group),
        Place(settings.secrets, 0o660, users.agent, users.dovecot),
        Place(settings.usage, 0o660, users.dovecot, users.database_group),
        Place(settings.sends, 0o660, users.lookup, users.agent),
        Place(settings.mail_log, 0o640, "root", users.lookup),
    ]


def initialise(settings: Settings) -> dict[str, str]:
    """Make everything; returns what the panel and mail clients need to know:
    {"name", "certificate_sha256" (hex, of the agent's certificate), "key_file", "tls_ca"} (paths)."""
    for place in directories(settings):
        place.path.mkdir(exist_ok=True)
        place.settle()
    if settings.hs_cache:
        cache = Place(Path(settings.hs_cache), 0o755, settings.users.rspamd, settings.users.rspamd)
        cache.path.mkdir(parents=True, exist_ok=True)
        cache.settle()
    for place in files(settings):
        os.close(os.open(place.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        place.settle()
    schema.create_node(settings.database)
    schema.create_secrets(settings.secrets, settings.database)
    schema.create_usage(settings.usage)
    create_sends(settings.sends)
    _make_keys(settings)
    authority = certificates.ensure_mail(settings)
    return {
        "name": settings.name,
        "certificate_sha256": certificates.ensure_agent(settings),
        "key_file": str(settings.key_file),
        "tls_ca": str(authority),
    }


def _make_keys(settings: Settings) -> None:
    """The bearer key (in clear for root, hashed for the agent) and Dovecot's API key."""
    users = settings.users
    if not settings.key_file.exists():
        write(settings.key_file, f"{renewal.new_key()}\n".encode(), mode=0o600)
    renewal.write_hashes(settings)
    doveadm = settings.agent_directory / "doveadm.key"
    if not doveadm.exists():
        write(doveadm, f"{random.token_hex(24)}\n".encode(), mode=0o600)
    Place(doveadm, 0o640, "root", users.agent).settle()
