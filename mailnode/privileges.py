"""Giving up root, for the agent and the look-up service.

They are started as root and drop it when everything is imported and opened, so that Python and the code may
lie where their users cannot reach them (a clone below /root)."""

import encodings.idna  # noqa: F401 imported by the interpreter at the first look-up of a host name: too late by then
import os
import pwd


def drop(user: str) -> None:
    """Become `user` with its groups for good; nothing happens when the process is not root."""
    os.umask(0o007)
    if os.geteuid() != 0:
        return
    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    os.chdir("/")
