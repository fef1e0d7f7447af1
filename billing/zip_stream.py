"""A ZIP that is made while it is sent, one file at a time, so that it may be larger than memory."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import IO, cast
from zipfile import ZIP_STORED, ZipFile, ZipInfo


class _Pipe:
    """What ZipFile writes to: no file, so nothing can be sought in it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        taken, self.written = b"".join(self.written), []
        return taken


def zip_stream(files: Iterable[tuple[str, date, bytes]]) -> Iterator[bytes]:
    """The ZIP of these files (name, day, content) in pieces; contents are stored as they are, for what is compressed
    already. The same files give the same bytes.
    """
    pipe = _Pipe()
    with ZipFile(cast(IO[bytes], pipe), "w", ZIP_STORED) as made:
        for name, on, content in files:
            made.writestr(ZipInfo(name, (on.year, on.month, on.day, 0, 0, 0)), content)
            yield pipe.take()
    yield pipe.take()
