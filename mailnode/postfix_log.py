"""What Postfix's log alone says: messages that a filter refused after their end, and clients that have gone.

Lines as Postfix 3.7 writes them (cleanup_milter.c, smtpd.c); the client's port is there by smtpd_client_port_logging.
Nothing that a client sends can begin a line."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mailnode.sends import Place

MOST = 4 * 2**20  # bytes that are read at once
_BEGIN = rb"\A[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ postfix\S*/"
REFUSED = re.compile(_BEGIN + rb"cleanup\[\d+\]: ([0-9A-Za-z]{5,40}): milter-reject: END-OF-MESSAGE from ")
GONE = re.compile(_BEGIN + rb"smtpd\[\d+\]: disconnect from \S+\[([0-9A-Fa-f.:]+)\]:(\d+)(?: |\Z)")

Client = tuple[str, str]  # address and port


class PostfixLog:
    """Follows the log by its name, also when it is renamed and begun anew."""

    def __init__(self, path: Path, place: Place) -> None:
        self.path = path
        self.file: BinaryIO | None = None
        self.rest = b""
        self._resume(place)

    @property
    def place(self) -> Place:
        """How far it has been read: up to the end of a line."""
        if self.file is None:
            return Place()
        return Place(os.fstat(self.file.fileno()).st_ino, self.file.tell() - len(self.rest))

    def news(self) -> Iterator[str | Client]:
        """What was written since the last call: the queue ids of messages that were refused, clients that have
        gone. Raises OSError where the log cannot be read."""
        for line in self._lines():
            if found := REFUSED.match(line):
                yield found[1].decode()
            elif found := GONE.match(line):
                yield found[1].decode(), found[2].decode()

    def _resume(self, place: Place) -> None:
        """Go on from a place, or from the end where that is another file's."""
        try:
            self.file = self.path.open("rb")
        except OSError:
            return
        seen = os.fstat(self.file.fileno())
        self.file.seek(
            place.offset if place.inode == seen.st_ino and place.offset <= seen.st_size else seen.st_size
        )

    def _lines(self) -> Iterator[bytes]:
        if self.file is None:
            self.file = self.path.open("rb")
        yield from self._read(self.file)
        try:
            is_old = self.path.stat().st_ino != os.fstat(self.file.fileno()).st_ino
        except FileNotFoundError:
            return
        if is_old:
            later = self.path.open("rb")
            yield from self._read(self.file)
            self.file.close()
            self.file, self.rest = later, b""
            yield from self._read(self.file)

    def _read(self, file: BinaryIO) -> Iterator[bytes]:
        if os.fstat(file.fileno()).st_size < file.tell():  # cut off, which nobody should do
            file.seek(0)
            self.rest = b""
        *lines, self.rest = (self.rest + file.read(MOST)).split(b"\n")
        yield from lines
