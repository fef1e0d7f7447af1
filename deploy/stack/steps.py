"""Short steps of the preparation, each as the user it is for, or with the owner it is for."""

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.stack.component import BARE_ENVIRONMENT
from deploy.stack.layout import StackError


def run_step(argv: Sequence[str], *, user: str | None = None, cwd: str = "/", seconds: float = 60) -> str:
    """Run a command to its end; its output. Raises StackError with what it said where it fails."""
    try:
        done = subprocess.run(
            argv, check=True, capture_output=True, text=True, cwd=cwd, env=BARE_ENVIRONMENT, timeout=seconds,
            **identity(user),
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip()
        raise StackError(f"could not run `{' '.join(argv)}`:\n{said}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"could not run `{' '.join(argv)}`: {error}") from None
    return done.stdout


def identity(user: str | None) -> dict[str, Any]:
    """The arguments that make a child run as `user` with all its groups; none when that is who we are."""
    if user is None or os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise StackError(f"the system user {user} is missing; run `make install`") from None
    groups = [group.gr_gid for group in grp.getgrall() if user in group.gr_mem]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


def directory(path: Path, user: str, mode: int) -> None:
    """Make `path` with this owner and mode, or give it them."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    owned_by(path, user)


def owned_by(path: Path, user: str) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, user, identity(user)["group"])
