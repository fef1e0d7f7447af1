"""The look-up service: answers Postfix's policy questions from node.db, over one unix socket, without root.

Postfix asks at every recipient and once more when the whole message has come (its true size is known then).
The protocol is http://www.postfix.org/SMTPD_POLICY_README.html: lines `name=value`, an empty line, answered
by one line `action=…` and an empty line. Answers, in this order:

    450 4.7.1  the signed-in sender's sending is stopped
    450 4.2.1  the recipient's receiving is stopped
    450 4.7.1  too much mail for postmaster@ and abuse@ within an hour
    552 5.2.2  the mailbox is full (as usage.db has it)
    452 4.2.2  the plan of the recipient's customer is full
    450 4.7.1  the signed-in sender has reached a send limit (mailnode.limits)
    451 4.3.0  node.db cannot be read
    DUNNO      nothing against it

What is counted lives in memory and is written to sends.db once a second, by a thread.
"""

import asyncio
import logging
import os
import pwd
import signal
import sqlite3
import sys

from mailnode import privileges, schema, sends
from mailnode.policy import AWAY, Policy
from mailnode.postfix_log import PostfixLog
from mailnode.sending import Sending, Session
from mailnode.settings import Settings

log = logging.getLogger("mailnode.lookup")

MAX_QUESTION = 16_384  # bytes; Postfix sends less than 1,000
WRITE_EVERY = 1.0  # seconds; so much is lost with the service at most
READ_LOG_EVERY = 0.5
SWITCH = 0.0005  # seconds for which the thread that writes may keep an answer waiting


class Lookup:
    """Serves the socket."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tally, place = sends.load(settings.sends)
        self.file = schema.connect(settings.sends)
        self.sending = Sending(settings, self.tally, PostfixLog(settings.mail_log, place))
        self.policy = Policy(settings, self.sending)
        self.trouble = ""  # the last one that was logged
        self.writing: asyncio.Future[None] | None = None

    async def serve(self) -> None:
        """Listen until SIGTERM."""
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        path = self.settings.lookup_socket
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._connection, path, limit=MAX_QUESTION, backlog=1_024)
        postfix = pwd.getpwnam(self.settings.users.postfix)
        os.chown(path, postfix.pw_uid, postfix.pw_gid)
        os.chmod(path, 0o600)
        privileges.drop(self.settings.users.lookup)
        keeping = asyncio.ensure_future(self._keep())
        async with server:
            await stopped.wait()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await self._write_last()

    async def _keep(self) -> None:
        """Read Postfix's log, let fall out what is over, write what changed."""
        while True:
            for _ in range(round(WRITE_EVERY / READ_LOG_EVERY)):
                await asyncio.sleep(READ_LOG_EVERY)
                self._try_log()
            self.tally.roll()
            self.writing = asyncio.ensure_future(self._write())
            await asyncio.shield(self.writing)

    async def _write(self) -> None:
        taken = sends.snapshot(self.tally, self.sending.log.place)
        try:
            await asyncio.to_thread(sends.write, self.file, taken)
        except sqlite3.Error as error:  # a full disk stops no mail: all counts are in memory
            sends.give_back(self.tally, taken)
            self._say(f"sends.db cannot be written: {type(error).__name__}")

    async def _write_last(self) -> None:
        """After a write that is under way: there is one connection."""
        if self.writing:
            await self.writing
        await self._write()

    def _try_log(self) -> None:
        try:
            self.sending.read_log()
        except OSError as error:
            self._say(f"Postfix's log cannot be read: {type(error).__name__}")

    def _say(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.error(trouble)
            self.trouble = trouble

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one question after the other; a connection that talks nonsense is closed."""
        session = Session(self.tally)
        try:
            while True:
                question = question_of(await reader.readuntil(b"\n\n"))
                writer.write(f"action={self._answer(question, session)}\n\n".encode())
                await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            session.ends()
            writer.close()

    def _answer(self, question: dict[str, str], session: Session) -> str:
        try:
            return self.policy.action(question, session)
        except sqlite3.Error as error:
            log.error("node.db cannot be read: %s", type(error).__name__)
            self.policy.reopen()
            return AWAY


def question_of(text: bytes) -> dict[str, str]:
    """The attributes of one question, which ends with an empty line; ValueError for what is none."""
    question: dict[str, str] = {}
    for line in text[:-2].decode("utf-8", "replace").split("\n"):
        name, separator, value = line.partition("=")
        if not separator:
            raise ValueError("not a policy question")
        question[name] = value
    return question


def run(settings: Settings) -> None:
    """Run in the foreground until SIGTERM; drops root once the socket is there."""
    sys.setswitchinterval(SWITCH)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(Lookup(settings).serve())
