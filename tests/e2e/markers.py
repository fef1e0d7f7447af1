"""Looking for words that must not be there: in the database, in Redis, and in every file of a stack."""

import base64
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import redis

from tests.e2e.stack import Stack

CHUNK = 1 << 22


def forms(marker: str) -> set[bytes]:
    """The word as it is, and as base64 and hex write it wherever it begins; in lower case where case is lost."""
    raw = marker.encode()
    found = {raw, raw.lower(), raw.hex().encode(), raw.hex().upper().encode()}
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + raw)
        found.add(whole[-(-offset * 8 // 6) : len(whole) - 4 if len(raw) + offset % 3 else None])
    return {form for form in found if len(form) >= 8}


class Search:
    """Finds any form of any of these words (name -> word)."""

    def __init__(self, markers: dict[str, str]) -> None:
        self.forms = {form: name for name, marker in markers.items() for form in forms(marker)}

    def in_bytes(self, data: bytes) -> set[str]:
        """The names of the words that stand in `data`."""
        return {name for form, name in self.forms.items() if form in data}

    def in_file(self, path: Path) -> set[str]:
        found: set[str] = set()
        overlap = max(map(len, self.forms))
        try:
            with path.open("rb") as file:
                tail = b""
                while chunk := file.read(CHUNK):
                    found |= self.in_bytes(tail + chunk)
                    tail = chunk[-overlap:]
        except (FileNotFoundError, IsADirectoryError):
            return set()
        return found

    def in_files(self, top: Path, leave_out: Iterable[Path]) -> dict[str, set[str]]:
        """Where below `top` the words stand: path -> names. Paths in `leave_out` are not entered."""
        found = {}
        for path in files(top, set(leave_out)):
            if names := self.in_bytes(os.fsencode(path)) | self.in_file(path):
                found[str(path.relative_to(top))] = names
        return found

    def in_database(self, stack: Stack) -> set[str]:
        """In a dump of the panel's whole database."""
        dump = ["/usr/lib/postgresql/15/bin/pg_dump", "--no-owner", stack.facts["database"]]
        done = subprocess.run(dump, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        return self.in_bytes(done.stdout)

    def in_redis(self, client: "redis.Redis") -> set[str]:
        """In the names and values of every key."""
        return {name for data in everything(client) for name in self.in_bytes(data)}


def files(top: Path, leave_out: set[Path]) -> Iterator[Path]:
    for directory, below, names in os.walk(top):
        here = Path(directory)
        below[:] = [name for name in below if here / name not in leave_out and not (here / name).is_symlink()]
        for name in names:
            if (here / name).is_file() and not (here / name).is_symlink():
                yield here / name


def everything(client: "redis.Redis") -> Iterator[bytes]:
    readers = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"hash": client.hgetall,
        b"zset": lambda key: client.zrange(key, 0, -1),
    }
    for key in client.scan_iter(count=1000):
        yield key
        kind = client.type(key)
        yield repr(readers[kind](key)).encode() if kind in readers else b""
