"""Files that are there whole or not at all, and that belong to whom they should."""

import ctypes
import errno
import grp
import os
import pwd
import sqlite3
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Place:
    """A directory or file with its mode, owner and group."""

    path: Path
    mode: int
    user: str = "root"
    group: str = "root"

    def settle(self) -> None:
        """Give the path its owner and mode; never through a symbolic link, which an unprivileged owner of the
        parent might have left there for root to follow."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise PermissionError(f"{self.path} is a symbolic link: remove it") from None
            raise
        try:
            os.fchown(descriptor, pwd.getpwnam(self.user).pw_uid, grp.getgrnam(self.group).gr_gid)
            os.fchmod(descriptor, self.mode)
        finally:
            os.close(descriptor)


def write(
    path: Path,
    content: bytes,
    mode: int,
    stamp: int | None = None,
    *,
    group: str | None = None,
    flush: bool = True,
) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut: without `flush` only once
    `flush_file_system` has been called. `stamp` sets its time (seconds since the epoch); `group` has it from the
    first moment on."""
    new = path.with_name(f".{path.name[:200]}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as file:
        if group is not None:
            os.fchown(file.fileno(), -1, grp.getgrnam(group).gr_gid)
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        if flush:
            os.fsync(file.fileno())
    if stamp is not None:
        os.utime(new, (stamp, stamp))
    os.replace(new, path)
    if flush:
        flush_directory(path.parent)


def flush_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def flush_file_system(path: Path) -> None:
    """Make everything that was written to the file system of a directory survive a power cut (syncfs(2), which
    Python does not have)."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(directory) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(directory)


def disk_trouble(error: Exception) -> str | None:
    """What to tell the panel and its staff where a disk is full or fails, or files are held by others; None where
    the error is another one. Quotes no path and no value."""
    if isinstance(error, sqlite3.OperationalError):
        name = str(getattr(error, "sqlite_errorname", ""))
        if not name.startswith(
            ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY")
        ):
            return None
    elif isinstance(error, OSError) and error.errno:
        name = errno.errorcode.get(error.errno, str(error.errno))
    else:
        return None
    if name in ("SQLITE_FULL", "ENOSPC", "EDQUOT"):
        return "The disk of the mail server is full. Nothing is lost: the panel sends this again. Make room on it."
    return (
        f"The mail server could not write or read its files ({name}). Nothing is lost: the panel sends this again. \
Where it goes on, look at its disk and its log."
    )
