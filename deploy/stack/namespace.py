"""A mount namespace of the stack's own: short paths its users can reach, and its own resolv.conf.

On a directory that every system has and that leads to nothing of ours a tmpfs is mounted; `var`, the clone
and the virtual environment are bound below it. The tmpfs carries the stack's mark as its source, which every
process shows in /proc/PID/mountinfo: by that, and by nothing that can be forgotten, a stack is found after
its supervisor was killed.
"""

import ctypes
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from deploy.stack.layout import Layout, StackError

CLONE_NEWNS = 0x00020000
MOUNT_POINTS = ("/mnt", "/media", "/srv", "/opt")


def enter(layout: Layout) -> str:
    """Move this process into a mount namespace and `layout` to its short paths.

    Returns an empty text, or why the stack has to do without one. Must run before any thread is started.
    """
    if os.geteuid() != 0:
        return "not started as root"
    point = mount_point(layout)
    if point is None:
        return "no mount point is free"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        return f"the kernel refuses a mount namespace ({os.strerror(ctypes.get_errno())})"
    try:
        build(layout, point)
    except subprocess.CalledProcessError as error:
        return f"the kernel refuses to mount ({error.stderr.decode(errors='replace').strip()})"
    shorten(layout, point)
    os.chdir(layout.code)
    return ""


def join(layout: Layout, pid: int) -> None:
    """Enter the namespace of the stack's supervisor `pid`, or take its short names. Raises StackError."""
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        if f" - tmpfs {layout.mark} " in line:
            point = Path(line.split()[4])
            break
    else:
        layout.var = layout.run / "var"
        if not layout.var.exists():
            raise StackError(f"The stack in {layout.real_var} is only starting; try again when it is ready.")
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/mnt").open() as theirs:
        if libc.setns(theirs.fileno(), CLONE_NEWNS) != 0:
            raise StackError(
                f"cannot enter the stack's namespace: {os.strerror(ctypes.get_errno())}; are you root?"
            )
    shorten(layout, point)


def shorten(layout: Layout, point: Path) -> None:
    layout.var, layout.code, layout.venv = point / "var", point / "code", point / "venv"
    layout.run = point / "run"
    layout.namespaced = True


def do_without(layout: Layout) -> None:
    """Let `layout` use short names below /run instead of mounts: sockets and pid files lie there.

    Raises StackError where the servers' users cannot reach `var` at all.
    """
    if os.geteuid() == 0 and (barrier := closed_to_others(layout.real_var)):
        raise StackError(
            f"{barrier} is closed to the users of PostgreSQL and the mail servers, so {layout.real_var} "
            "cannot hold the stack. Name a directory that everybody may pass: make run VAR=/srv/mxpanel"
        )
    layout.run.mkdir(mode=0o755, parents=True, exist_ok=True)
    link = layout.run / "var"
    link.unlink(missing_ok=True)
    link.symlink_to(layout.real_var)
    layout.var = link
    if os.geteuid() == 0 and (closed_to_others(layout.real_code) or closed_to_others(layout.real_venv)):
        layout.code, layout.venv = copied(layout)


def copied(layout: Layout) -> tuple[Path, Path]:
    """The code and its virtual environment as copies in `var`, for users that cannot reach the clone."""
    code, venv = layout.real_var / "code", layout.real_var / "venv"
    shutil.rmtree(code, ignore_errors=True)
    skipped = shutil.ignore_patterns(".*", "var", "__pycache__", "node_modules", layout.real_venv.name)
    shutil.copytree(layout.real_code, code, ignore=skipped)
    if not venv.exists() or venv.stat().st_mtime < layout.real_venv.stat().st_mtime:
        shutil.rmtree(venv, ignore_errors=True)
        shutil.copytree(layout.real_venv, venv, symlinks=True)
    return code, venv


def closed_to_others(path: Path) -> Path | None:
    """The first directory on the way to `path`, itself included, that others may not pass through."""
    for step in [*reversed(path.parents), path]:
        if not step.stat().st_mode & stat.S_IXOTH:
            return step
    return None


def check_python(layout: Layout) -> None:
    """Raises StackError where the interpreter behind the virtual environment lies in a closed directory."""
    interpreter = Path(sys.executable).resolve()
    if os.geteuid() == 0 and (barrier := closed_to_others(interpreter)):
        raise StackError(
            f"The virtual environment {layout.real_venv} runs {interpreter}, which the stack's users "
            f"cannot reach ({barrier} is closed to them). "
            "Remove the environment: `make run` makes it again, with /usr/bin/python3."
        )


def mount_point(layout: Layout) -> Path | None:
    """The first directory that none of our own directories lies below."""
    ours = (layout.real_var, layout.real_code, layout.real_venv, Path("/etc/resolv.conf").resolve())
    for candidate in map(Path, MOUNT_POINTS):
        if candidate.is_dir() and not any(path.is_relative_to(candidate) for path in ours):
            return candidate
    return None


def build(layout: Layout, point: Path) -> None:
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", "mode=0755,size=64m", layout.mark, point)
    for name, real in (("var", layout.real_var), ("code", layout.real_code), ("venv", layout.real_venv)):
        (point / name).mkdir()
        mount("--bind", real, point / name)
    (point / "run").mkdir(mode=0o755)
    resolv = point / "resolv.conf"
    resolv.write_text(f"nameserver {layout.dns_address}\noptions timeout:2 attempts:2\n")
    mount("--bind", resolv, Path("/etc/resolv.conf").resolve())


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)
