"""Postfix's part of the policy protocol for one signed-in client, without Postfix."""

import itertools
import socket

from tests.mailnode.clients import ask, connect
from tests.mailnode.server import Server

NUMBERS = itertools.count(1)


class Smtpd:
    """One process of Postfix: one connection to the look-up service, one client at a time."""

    def __init__(self, server: Server, user: str) -> None:
        self.server, self.user = server, user
        self.port = str(20_000 + next(NUMBERS))
        self.connection: socket.socket = connect(server)
        self.begin()

    def begin(self) -> None:
        """Another message."""
        self.instance = f"1f.{next(NUMBERS)}"
        self.accepted = 0

    def rcpt(self, recipient: str = "x@elsewhere.example") -> str:
        answer = self._ask(protocol_state="RCPT", recipient=recipient)
        self.accepted += answer == "DUNNO"
        return answer

    def end(self, queue_id: str = "") -> str:
        """The whole message has come."""
        count = str(self.accepted)
        answer = self._ask(protocol_state="END-OF-MESSAGE", recipient_count=count, queue_id=queue_id)
        self.begin()
        return answer

    def send(self, recipients: int = 1, queue_id: str = "") -> int:
        """A message to so many; how many were accepted."""
        for _ in range(recipients):
            self.rcpt()
        accepted = self.accepted
        return accepted if accepted and self.end(queue_id) == "DUNNO" else 0

    def close(self) -> None:
        self.connection.close()

    def _ask(self, **attributes: str) -> str:
        who = {"sasl_username": self.user, "client_address": "127.0.0.1", "client_port": self.port}
        return ask(self.server, self.connection, instance=self.instance, **who, **attributes)
