"""The system users and groups of a mail server, in one list, and their making (idempotent, root only).

Rights come from here: `maildb` may read and write node.db's directory, which SQLite's WAL demands of its
readers (Postfix's proxymap would die without, see docs); nobody but the agent and Dovecot reaches the
password hashes."""

import grp
import pwd
import subprocess
from dataclasses import dataclass

from mailnode.settings import Users


@dataclass(frozen=True)
class Account:
    """A user that must exist, with the groups it must be in. `packaged`: its Debian package makes it."""

    name: str
    groups: tuple[str, ...] = ()
    packaged: bool = False


def accounts(users: Users) -> list[Account]:
    """Every user of a mail server."""
    return [
        Account(users.vmail),
        Account(users.agent, (users.database_group,)),
        Account(users.lookup, (users.database_group,)),
        Account(users.postfix, (users.database_group,), packaged=True),
        Account(users.dovecot, (users.database_group,), packaged=True),
        Account(users.rspamd, packaged=True),
    ]


def missing(users: Users) -> list[list[str]]:
    """The commands that would make what is missing, in order; empty when nothing is."""
    commands: list[list[str]] = []
    if not _has_group(users.database_group):
        commands.append(["groupadd", "--system", users.database_group])
    for account in accounts(users):
        if not _has_user(account.name):
            if account.packaged:
                raise LookupError(f"user {account.name} is missing: install the Debian package that makes it")
            commands.append(_useradd(account.name))
        lacking = [group for group in account.groups if not _is_member(account.name, group)]
        commands += [["usermod", "--append", "--groups", group, account.name] for group in lacking]
    return commands


def create(users: Users) -> list[list[str]]:
    """Make what is missing; returns the commands that were run. Raises CalledProcessError, LookupError."""
    commands = missing(users)
    for command in commands:
        subprocess.run(command, check=True, capture_output=True, text=True)
    return commands


def _useradd(name: str) -> list[str]:
    shell = ["--shell", "/usr/sbin/nologin", "--home-dir", "/nonexistent", "--no-create-home"]
    return ["useradd", "--system", "--user-group", *shell, name]


def _has_user(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def _has_group(name: str) -> bool:
    return any(entry.gr_name == name for entry in grp.getgrall())


def _is_member(user: str, group: str) -> bool:
    return _has_group(group) and user in grp.getgrnam(group).gr_mem
