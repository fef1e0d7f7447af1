"""Files that are there whole or not at all, and that belong to whom they should."""

import errno
import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path


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


def write(path: Path, content: bytes, mode: int, stamp: int | None = None) -> None:
    """Write a file so that it is there whole or not at all, also after a power cut. `stamp` sets its time
    (seconds since the epoch)."""
    new = path.with_name(f".{path.name[:200]}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if stamp is not None:
        os.utime(new, (stamp, stamp))
    os.replace(new, path)
    flush_directory(path.parent)


def flush_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
