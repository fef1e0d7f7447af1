"""The look-up service: answers Postfix's policy questions from node.db, over one unix socket, without root.

Postfix asks at every recipient and once more when the whole message has come (its true size is known then).
The protocol is http://www.postfix.org/SMTPD_POLICY_README.html: lines `name=value`, an empty line, answered
by one line `action=…` and an empty line. Answers, in this order:

    450 4.7.1  the signed-in sender's sending is stopped
    450 4.2.1  the recipient's receiving is stopped
    450 4.7.1  too much mail for postmaster@ and abuse@ within an hour
    552 5.2.2  the mailbox is full (seen in usage.db, confirmed by Dovecot's quota-status)
    452 4.2.2  the plan of the recipient's customer is full
    451 4.3.0  node.db cannot be read
    DUNNO      nothing against it
"""

import asyncio
import logging
import os
import pwd
import signal
import sqlite3

from mailnode import privileges
from mailnode.policy import AWAY, Policy
from mailnode.settings import Settings

log = logging.getLogger("mailnode.lookup")

MAX_LINE = 8_192
MAX_LINES = 200
IDLE = 300.0  # seconds; Postfix closes its idle connections sooner


class Lookup:
    """Serves the socket."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.policy = Policy(settings)

    async def serve(self) -> None:
        """Listen until SIGTERM."""
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        path = self.settings.lookup_socket
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._connection, path, limit=MAX_LINE, backlog=1_024)
        postfix = pwd.getpwnam(self.settings.users.postfix)
        os.chown(path, postfix.pw_uid, postfix.pw_gid)
        os.chmod(path, 0o600)
        privileges.drop(self.settings.users.lookup)
        async with server:
            await stopped.wait()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question after the other; a connection that talks nonsense is closed."""
        try:
            while question := await asyncio.wait_for(_read_question(reader), IDLE):
                action = await self._answer(question)
                writer.write(f"action={action}\n\n".encode())
                await writer.drain()
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, question: dict[str, str]) -> str:
        try:
            return await self.policy.action(question)
        except sqlite3.Error as error:
            log.error("node.db cannot be read: %s", type(error).__name__)
            self.policy.reopen()
            return AWAY


async def _read_question(reader: asyncio.StreamReader) -> dict[str, str]:
    """The attributes of one question; empty at the end of the connection. Raises ValueError for what is
    none."""
    question: dict[str, str] = {}
    for _ in range(MAX_LINES):
        line = (await reader.readline()).decode("utf-8", "replace")
        if not line.endswith("\n"):
            return {}
        if line == "\n":
            if question:
                return question
            raise ValueError("an empty question")
        name, separator, value = line[:-1].partition("=")
        if not separator:
            raise ValueError("not a policy question")
        question[name] = value
    raise ValueError("too long a question")


def run(settings: Settings) -> None:
    """Run in the foreground until SIGTERM; drops root once the socket is there."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(Lookup(settings).serve())
