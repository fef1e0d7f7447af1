"""Giving up root, for the agent and the look-up service.

They are started as root and drop it when everything is imported and opened, so that Python and the code may
lie where their users cannot reach them (a clone below /root)."""

# Modules that Python itself imports only when it first needs them, which is too late after the drop.
import concurrent.futures.thread
import email.parser
import encodings.idna
import encodings.latin_1
import http.cookies
import linecache
import os
import pwd
import traceback

LATE = (
    concurrent.futures.thread,
    email.parser,
    encodings.idna,
    encodings.latin_1,
    http.cookies,
    linecache,
    traceback,
)


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
