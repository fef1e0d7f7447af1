"""The keeper: the one process of a mail server that keeps root, and does with it only what stands here.

No network; one unix socket that only the agent's user (and root) can talk to, checked by the kernel's word
for who is there (SO_PEERCRED). A question is one line of JSON {"verb": …}, the answer one line. Arguments are
checked again here, and no answer ever holds the content of a message or a file.

| Verb | Arguments | Answer |
|---|---|---|
| status | | {"services": [[name, running]…], "queue": messages in the queue} |
| flush | | {}: try everything in the queue now |
| retry | recipients (addresses, domains) | {"messages": n}: try what waits for these now |
| refresh | | {"changed": [path…], "reloaded": [daemon…]} |
| purge | home (32 hex digits) | {}: the mail of a mailbox that is gone long enough |
| certificate | chain, key (PEM) | {"reloaded": [daemon…]} |
| renew | step (begin, switch, end) | {"key": next bearer key or null, "certificate_sha256": of the agent} |
"""

import asyncio
import json
import logging
import os
import pwd
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

from mailnode import keeper_verbs
from mailnode.keeper_verbs import Refusal
from mailnode.settings import Settings

log = logging.getLogger("mailnode.keeper")

MAX_LINE = 2**20
IDLE = 30.0  # seconds that a connection may say nothing

VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "status": keeper_verbs.status,
    "flush": keeper_verbs.flush,
    "retry": keeper_verbs.retry,
    "refresh": keeper_verbs.refresh,
    "purge": keeper_verbs.purge,
    "certificate": keeper_verbs.certificate,
    "renew": keeper_verbs.renew,
}


class Keeper:
    """Serves the socket; one verb at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.allowed = {0, pwd.getpwnam(settings.users.agent).pw_uid}
        self.lock = asyncio.Lock()

    async def serve(self) -> None:
        """Listen until SIGTERM."""
        path = self.settings.keeper_socket
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._connection, path, limit=MAX_LINE)
        os.chown(path, pwd.getpwnam(self.settings.users.agent).pw_uid, 0)
        os.chmod(path, 0o600)
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        async with server:
            await stopped.wait()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _peer(writer) in self.allowed:
                line = await asyncio.wait_for(reader.readuntil(b"\n"), IDLE)
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("a connection ended: %s", type(error).__name__)
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        """Carry out what a line asks for; whatever is wrong with it is an answer too."""
        try:
            question = json.loads(line)
            verb = VERBS[question.pop("verb")]
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            return {"error": "no such verb"}
        async with self.lock:
            try:
                return await asyncio.to_thread(verb, self.settings, **question)
            except Refusal as refusal:
                return {"error": str(refusal)}
            except TypeError:
                return {"error": "the verb does not take these arguments"}
            except Exception as error:
                log.error("a verb failed", exc_info=error)
                return {"error": f"the keeper failed: {type(error).__name__}"}


def _peer(writer: asyncio.StreamWriter) -> int:
    """The user id of the process at the other end, from the kernel."""
    peer: socket.socket = writer.get_extra_info("socket")
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def run(settings: Settings) -> None:
    """Run in the foreground until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    os.umask(0o077)
    asyncio.run(Keeper(settings).serve())
