"""Look-ups at a Dovecot's auth service over one kept connection: what `doveadm auth lookup` asks, at once.

Protocol: https://doc.dovecot.org/2.3/developer_manual/design/auth_protocol/, section Master.
"""

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self


class DovecotAuth:
    """A connection to the socket `auth-userdb` (root is let in) in the run directory of a Dovecot.

    Asked as Postfix would ask (service smtp), because no TLS can be shown that a sign-in to IMAP needs.
    """

    def __init__(self, path: Path) -> None:
        self._socket = connect(path)
        self._stream = self._socket.makefile("rwb")
        self._stream.write(b"VERSION\t1\t0\n")
        self._stream.flush()
        while not self._stream.readline().startswith(b"SPID\t"):
            pass
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._socket.close()

    def passdb_finds(self, address: str) -> bool:
        """Whether this mailbox may sign in with its password. RuntimeError when Dovecot cannot tell."""
        return self._ask("PASS", address)

    def userdb_finds(self, address: str) -> bool:
        """Whether this mailbox has a home. RuntimeError when Dovecot cannot tell."""
        return self._ask("USER", address)

    def _ask(self, verb: str, address: str) -> bool:
        self._asked += 1
        self._stream.write(f"{verb}\t{self._asked}\t{address}\tservice=smtp\n".encode())
        self._stream.flush()
        answer = self._stream.readline().decode().rstrip("\n").split("\t")
        if answer[0] == "NOTFOUND":
            return False
        if answer[0] == verb and answer[1] == str(self._asked):
            return True
        raise RuntimeError(f"Dovecot cannot look {address} up: {' '.join(answer)}")


def connect(path: Path) -> socket.socket:
    """Connect to a unix socket however long its path is."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(20)
    directory = os.open(path.parent, os.O_PATH)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
    return connection
