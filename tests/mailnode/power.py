"""A mail server's directory on a disk that can lose power, see weak_disk.py."""

import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import Dice
from tests.mailnode.server import CODE

MEGABYTES = 64


class WeakDisk:
    """An ext4 file system at `directory`, on a loop device, on a file of weak_disk.py."""

    proves = "power cut"

    def __init__(self, rng: Dice) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="wd", dir="/tmp"))
        self.top.chmod(0o755)
        self.image, self.directory = self.top / "image", self.top / "d"
        self.image.touch()
        self.directory.mkdir()
        argv = [sys.executable, "-m", "tests.mailnode.weak_disk", str(self.image), str(MEGABYTES)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*argv, str(rng.randrange(2**32))], stdin=pipe, stdout=pipe, text=True, cwd=CODE
        )
        try:
            self._answer()
            _run("mkfs.ext4", "-q", "-F", "-E", "nodiscard", self.image)
            self.mount()
        except BaseException:
            self.remove()
            raise

    def mount(self) -> None:
        """Mount it; after a cut this replays its journal."""
        _run("mount", "-o", "loop", self.image, self.directory)

    def cut(self) -> None:
        """The power goes: nothing that is written from now on is there later."""
        self.tell("cut")

    def bring_back(self) -> None:
        """The power is back, and the machine has started again. No process may use the directory."""
        _run("umount", self.directory)
        self.tell("on")
        self.mount()

    def flush(self) -> None:
        _run("sync", "--file-system", self.directory)

    def has_given_up(self) -> bool:
        """Whether the file system takes nothing more until it is mounted again."""
        try:
            (self.directory / "probe").touch()
        except OSError:
            return True
        return False

    def tell(self, line: str) -> str:
        """Have weak_disk.py do something; what it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise OSError("the disk is not there")
        return answer

    def remove(self) -> None:
        for path in (self.directory, self.image):
            subprocess.run(["umount", "--lazy", "--quiet", path], check=False, stderr=subprocess.DEVNULL)
        self.process.communicate()
        shutil.rmtree(self.top, ignore_errors=True)


class FirmDisk:
    """A plain directory instead, where the kernel allows no FUSE or loop devices: of a cut remains that processes
    die."""

    proves = "kill only: this machine allows no FUSE file or no loop device"

    def __init__(self) -> None:
        self.top = self.directory = Path(tempfile.mkdtemp(prefix="fd", dir="/tmp"))
        self.directory.chmod(0o755)

    def cut(self) -> None: ...

    def bring_back(self) -> None: ...

    def flush(self) -> None: ...

    def tell(self, line: str) -> str:
        return ""

    def has_given_up(self) -> bool:
        return False

    def remove(self) -> None:
        shutil.rmtree(self.top, ignore_errors=True)


@contextmanager
def disk(rng: Dice) -> Iterator[WeakDisk | FirmDisk]:
    """A disk that can lose power, where that is possible; else it says what this run does not prove, and how to."""
    found: WeakDisk | FirmDisk
    try:
        found = WeakDisk(rng)
    except (OSError, subprocess.CalledProcessError) as error:
        text = (
            f"No power is cut in this run, processes are only killed: {error}. Run it as root on a machine (or in \
a privileged container) with /dev/fuse and loop devices."
        )
        warnings.warn(text, stacklevel=3)
        found = FirmDisk()
    try:
        yield found
    finally:
        found.remove()


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
