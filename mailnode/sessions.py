"""Open IMAP, POP3 and ManageSieve sessions, by Dovecot's HTTP API on a unix socket.

The API is restricted to two commands, `who` and `kick` (doveadm_allowed_commands): a full doveadm socket
would let the agent read mail. See https://doc.dovecot.org/2.3/admin_manual/doveadm_http_api/."""

import base64
import errno
import json
from typing import Any

import aiohttp

from mailnode.settings import Settings

DEADLINE = aiohttp.ClientTimeout(total=5)
MAX_ANSWER = 32 * 2**20
NO_SUCH_SESSION = 68  # EX_NOHOST, doveadm's exit code when there is nothing to kick


class SessionsError(Exception):
    """Dovecot runs but did not do what it was asked; worth another try."""


class Sessions:
    """Who is signed in, and how to end it. Where Dovecot does not run there are no sessions."""

    def __init__(self, settings: Settings) -> None:
        key = (settings.agent_directory / "doveadm.key").read_text().strip()
        self.socket = str(settings.doveadm_socket)
        self.authorization = "X-Dovecot-API " + base64.b64encode(key.encode()).decode()

    async def who(self) -> set[str]:
        """The addresses that have open sessions; raises SessionsError."""
        rows = await self._call("who", {})
        return {str(row.get("username", "")) for row in rows}

    async def kick(self, address: str) -> None:
        """End every session of this address; none is as good. Raises SessionsError."""
        await self._call("kick", {"mask": [address]})

    async def _call(self, command: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        headers = {"Authorization": self.authorization}
        connector = aiohttp.UnixConnector(path=self.socket)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=DEADLINE) as client,
                client.post(
                    "http://dovecot/doveadm/v1", json=[[command, parameters, "1"]], headers=headers
                ) as reply,
            ):
                body = await _read(reply)
                status = reply.status
        except aiohttp.ClientConnectorError as error:
            if error.errno not in (errno.ENOENT, errno.ECONNREFUSED):
                raise SessionsError(f"Dovecot was not reached for {command}: {error.strerror}") from None
            return []  # no Dovecot, no sessions: its end ends them
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SessionsError(f"Dovecot did not answer {command}: {type(error).__name__}") from None
        return _rows(command, status, body)


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    """The whole answer, up to a bound."""
    body = b""
    async for chunk in reply.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise SessionsError(f"Dovecot answered more than {MAX_ANSWER} bytes")
    return body


def _rows(command: str, status: int, body: bytes) -> list[dict[str, Any]]:
    """The rows of an answer `[["doveadmResponse", rows, tag]]` or `[["error", {"exitCode": n}, tag]]`.
    Dovecot 2.3.19 closes the list of rows after the first one, so that the others stand beside it."""
    try:
        kind, *content, _tag = json.loads(body)[0]
    except (ValueError, LookupError, TypeError):
        raise SessionsError(f"Dovecot answered {command} with status {status}") from None
    rows = [row for part in content for row in (part if isinstance(part, list) else [part])]
    if kind == "doveadmResponse" and all(isinstance(row, dict) for row in rows):
        return rows
    if command == "kick" and kind == "error" and rows and rows[0].get("exitCode") == NO_SUCH_SESSION:
        return []
    raise SessionsError(f"Dovecot refused {command}: {str(rows)[:200]}")
