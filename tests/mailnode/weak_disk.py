"""A disk that loses power, or fails: one image file, served through FUSE, that knows what was flushed.

Why not copy the image while it is written: a copy takes time, so its end is later than its beginning, and it can
hold what no moment held (a commit without what it commits). A snapshot has one moment, but holds everything that
was written up to then, flushed or not, and a power cut is not so kind. Here a loop device lies on the file, the
kernel sends each of its writes and flushes to this process, and a cut keeps what was flushed and, of what came
after that, any version of any block (4,096 bytes, which today's disks write whole), in no order. That is all that
a disk with a volatile cache promises, and it needs nothing but /dev/fuse and loop devices.

`python -m tests.mailnode.weak_disk FILE MEGABYTES SEED` serves FILE (which must exist) until its stdin is closed, and
answers each line of stdin with one on stdout:

    cut         lose what was not flushed, and everything from now on, until
    on          the power is back
    fail writes N, fail flushes N
                answer the next N of them with an input/output error
    counts      "<writes> <flushes>" so far
"""

import ctypes
import errno
import os
import random
import select
import stat
import struct
import sys
from collections import defaultdict
from enum import IntEnum

BLOCK = 4_096
MAX_WRITE = 2**17


class Op(IntEnum):
    """Requests of the kernel, include/uapi/linux/fuse.h."""

    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25  # of a closed file; nothing to do with FSYNC
    INIT = 26
    INTERRUPT = 36


VERSION = (7, 31)
BIG_WRITES = 1 << 5
DIRECT_IO = 1  # the kernel keeps no copy of the file
IN_HEADER, OUT_HEADER = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")


class Image:
    """The disk's content as it reads now, and what of it is sure to survive."""

    def __init__(self, size: int, rng: random.Random) -> None:
        self.now, self.flushed = bytearray(size), bytearray(size)
        self.since: defaultdict[int, list[bytes]] = defaultdict(
            list
        )  # versions of a block since the last flush
        self.rng = rng
        self.is_on = True
        self.failing_writes = self.failing_flushes = 0
        self.writes = self.flushes = 0

    def write(self, offset: int, data: bytes) -> int:
        """An error number, 0 for none."""
        if self.failing_writes:
            self.failing_writes -= 1
            return errno.EIO
        if self.is_on:
            self.writes += 1
            self.now[offset : offset + len(data)] = data
            for start in range(offset - offset % BLOCK, offset + len(data), BLOCK):
                self.since[start].append(bytes(self.now[start : start + BLOCK]))
        return 0

    def flush(self) -> int:
        """An error number, 0 for none."""
        if self.failing_flushes:
            self.failing_flushes -= 1
            return errno.EIO
        if self.is_on:
            self.flushes += 1
            for start in self.since:
                self.flushed[start : start + BLOCK] = self.now[start : start + BLOCK]
            self.since.clear()
        return 0

    def cut(self) -> None:
        """Sometimes all of what was not flushed is lost, sometimes none, mostly some of it."""
        share = self.rng.choice([0.0, 0.2, 0.5, 0.8, 1.0])
        for start, versions in self.since.items():
            if self.rng.random() < share:
                kept = versions[-1] if share == 1 else self.rng.choice(versions)
                self.flushed[start : start + BLOCK] = kept
        self.since.clear()
        self.now[:] = self.flushed
        self.failing_writes = self.failing_flushes = 0
        self.is_on = False


class Fuse:
    """A mounted file whose reads, writes and flushes come here, one after the other."""

    def __init__(self, path: str, image: Image) -> None:
        self.image = image
        self.device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.device},rootmode={stat.S_IFREG:o},user_id=0,group_id=0"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"weak_disk", path.encode(), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "the kernel mounts no FUSE file here")

    def serve_one(self) -> None:
        try:
            request = os.read(self.device, MAX_WRITE + BLOCK)
        except OSError as error:
            sys.exit(None if error.errno == errno.ENODEV else str(error))  # it was unmounted
        _, opcode, unique, *_ = IN_HEADER.unpack_from(request)
        if opcode not in (Op.FORGET, Op.INTERRUPT):
            error, answer = self.answer(opcode, request[IN_HEADER.size :])
            os.write(self.device, OUT_HEADER.pack(OUT_HEADER.size + len(answer), -error, unique) + answer)

    def answer(self, opcode: int, body: bytes) -> tuple[int, bytes]:
        """Error number (0: none) and content of an answer."""
        match opcode:
            case Op.INIT:
                readahead = struct.unpack_from("<I", body, 8)[0]
                limits = (16, 12, MAX_WRITE, 1, 0, 0, 0)  # requests in the background, size, time's grain
                return 0, struct.pack("<IIIIHHIIHHI28x", *VERSION, readahead, BIG_WRITES, *limits)
            case Op.GETATTR | Op.SETATTR:
                return 0, self.attributes()
            case Op.OPEN:
                return 0, struct.pack("<QII", 0, DIRECT_IO, 0)
            case Op.READ:
                offset, size = struct.unpack_from("<QI", body, 8)
                return 0, bytes(self.image.now[offset : offset + size])
            case Op.WRITE:
                offset, size = struct.unpack_from("<QI", body, 8)
                error = self.image.write(offset, body[40 : 40 + size])
                return error, b"" if error else struct.pack("<II", size, 0)
            case Op.FSYNC:
                return self.image.flush(), b""
            case Op.STATFS:
                return 0, struct.pack("<QQQQQIIII24x", 0, 0, 0, 0, 0, BLOCK, 255, BLOCK, 0)
            case Op.RELEASE | Op.FLUSH:
                return 0, b""
        return errno.ENOSYS, b""

    def attributes(self) -> bytes:
        size = len(self.image.now)
        times = (0,) * 6
        owner = (stat.S_IFREG | 0o600, 1, 0, 0, 0, BLOCK, 0)  # mode, links, user, group, device
        return struct.pack("<QIIQQQ3Q3I7I", 0, 0, 0, 1, size, size // 512, *times, *owner)


def obey(image: Image, line: str) -> str:
    """What a line of stdin asks for."""
    match line.split():
        case ["cut"]:
            image.cut()
        case ["on"]:
            image.is_on = True
        case ["fail", "writes", number]:
            image.failing_writes = int(number)
        case ["fail", "flushes", number]:
            image.failing_flushes = int(number)
        case ["counts"]:
            return f"{image.writes} {image.flushes}"
        case _:
            return "what?"
    return "done"


def main(path: str, megabytes: str, seed: str) -> None:
    image = Image(int(megabytes) * 2**20, random.Random(int(seed)))
    fuse = Fuse(path, image)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([fuse.device, sys.stdin], [], [])
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return
            print(obey(image, line), flush=True)
        else:
            fuse.serve_one()


if __name__ == "__main__":
    main(*sys.argv[1:])
