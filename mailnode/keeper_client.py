"""The agent's side of the keeper's socket: one line of JSON there, one line back."""

import asyncio
import json
from pathlib import Path
from typing import Any

DEADLINE = 60.0
MAX_LINE = 2**20


class KeeperError(Exception):
    """The keeper is away (`retry`) or refused what it was asked."""

    def __init__(self, message: str, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


class Keeper:
    """Asks the keeper; see mailnode.keeper for its verbs."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    async def call(self, verb: str, deadline: float = DEADLINE, **arguments: Any) -> dict[str, Any]:
        """The keeper's answer to a verb; raises KeeperError."""
        try:
            line = await asyncio.wait_for(self._exchange({"verb": verb, **arguments}), deadline)
            answer = json.loads(line)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            raise KeeperError(f"the keeper did not answer: {type(error).__name__}", retry=True) from None
        if "error" in answer:
            raise KeeperError(str(answer["error"])[:500], retry=False)
        return dict(answer)

    async def _exchange(self, question: dict[str, Any]) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self.socket, limit=MAX_LINE)
        try:
            writer.write(json.dumps(question).encode() + b"\n")
            return await reader.readuntil(b"\n")
        finally:
            writer.close()
