"""A ManageSieve client (RFC 5804) as far as these tests need one."""

import base64
import re
import socket
import ssl

from tests.e2e.mail import TIMEOUT, Account


class SieveError(Exception):
    """The server said NO or BYE."""


class ManageSieve:
    """One signed-in session with the mailbox's filters."""

    def __init__(self, account: Account) -> None:
        self.sock: socket.socket | ssl.SSLSocket
        self.sock = socket.create_connection(account.server.at("sieve"), timeout=TIMEOUT)
        self.file = self.sock.makefile("rb")
        self.greeting = self.answer()
        self.command("STARTTLS")
        self.sock = account.stack.tls.wrap_socket(self.sock, server_hostname=account.server.host)
        self.file = self.sock.makefile("rb")
        self.answer()
        plain = base64.b64encode(f"\0{account.address}\0{account.password}".encode()).decode()
        self.command(f'AUTHENTICATE "PLAIN" "{plain}"')

    def command(self, line: str, literal: bytes | None = None) -> str:
        """Send a command, with a literal at its end where one is given; what was answered before OK."""
        data = line.encode()
        if literal is not None:
            data += b" {%d+}\r\n" % len(literal) + literal
        self.sock.sendall(data + b"\r\n")
        return self.answer()

    def answer(self) -> str:
        """Everything up to the line that begins with OK. Raises SieveError for NO and BYE."""
        lines = []
        while line := self.file.readline().decode():
            if size := re.search(r"\{(\d+)\+?\}\r\n$", line):
                line += self.file.read(int(size[1])).decode()
            if line.startswith(("NO", "BYE")):
                raise SieveError(line)
            if line.startswith("OK"):
                break
            lines.append(line)
        return "".join(lines)

    def activate(self, script: str, name: str = "main") -> None:
        """Store a script and make it the one that runs."""
        self.command(f'PUTSCRIPT "{name}"', script.encode())
        self.command(f'SETACTIVE "{name}"')

    def close(self) -> None:
        self.command("LOGOUT")
        self.sock.close()
