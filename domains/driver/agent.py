"""The client of a mail server's agent: our words for its calls, bounded in time and size, one error type."""

from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlencode
from uuid import UUID

import requests
from django.conf import settings

from domains.models.server import MailServer
from foundation.outbound import OutboundError, Reply, fetch, new_session
from mailnode import wire

T = TypeVar("T")


class AgentError(Exception):
    """A call gave nothing usable; the message is for staff. `retry`: the same call may succeed later by
    itself.
    """

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


class Agent:
    """The agent of one mail server: pinned certificate, bearer key, a total deadline on every call."""

    def __init__(self, server: MailServer) -> None:
        self._name = server.name
        self._url = server.agent_url.rstrip("/")
        self._session = _session(server.certificate_sha256)
        self._headers = {"Authorization": f"Bearer {server.agent_key}", "Content-Type": "application/json"}

    def status(self) -> wire.Status:
        return self._answer(self._call("GET", "/v1/status"), wire.Status)

    def changes(self, page: wire.Changes) -> wire.Applied | wire.Point:
        """What was applied, or, where the page does not begin at the node's own point, that point."""
        reply = self._call("POST", "/v1/changes", wire.encode(page))
        if reply.status == 409:
            return self._shape(reply, wire.Point)
        return self._answer(reply, wire.Applied)

    def usage(self, after: str, limit: int = wire.MAX_ENTRIES) -> wire.UsagePage:
        query = urlencode({"after": after, "limit": limit})
        return self._answer(self._call("GET", f"/v1/usage?{query}"), wire.UsagePage)

    def purge(self, home: UUID) -> wire.Done:
        """Remove the mail of a deleted mailbox; its own id makes the command idempotent."""
        body = wire.encode(wire.Command(wire=wire.WIRE, id=home.hex, home=home.hex))
        return self._answer(self._call("POST", "/v1/commands/purge", body), wire.Done)

    def _call(self, method: str, path: str, body: bytes | None = None) -> Reply:
        try:
            return fetch(
                method,
                self._url + path,
                deadline=settings.AGENT_DEADLINE,
                max_bytes=wire.MAX_BODY,
                session=self._session,
                headers=self._headers,
                data=body,
            )
        except OutboundError as error:
            raise AgentError(f"{self._name} could not be asked: {error}", retry=error.retry) from error

    def _answer(self, reply: Reply, shape: type[T]) -> T:
        if reply.status == 200:
            return self._shape(reply, shape)
        raise AgentError(f"{self._name} refused ({reply.status}): {_why(reply)}", retry=reply.status >= 500)

    def _shape(self, reply: Reply, shape: type[T]) -> T:
        try:
            return wire.decode(reply.body, shape)
        except wire.WireError as error:
            raise AgentError(
                f"{self._name} gave an answer that is not understood: {error}", retry=True
            ) from error


def _why(reply: Reply) -> str:
    try:
        refusal = wire.decode(reply.body[: 64 * 1024], wire.Refusal)
    except wire.WireError:
        return "without a reason that is understood."
    row = f" ({refusal.kind} {refusal.key})" if refusal.kind else ""
    return refusal.error[:500] + row


@lru_cache(maxsize=64)
def _session(certificate_sha256: str) -> requests.Session:
    """One for each process and certificate: connections are kept, and renewed when the pin changes."""
    return new_session(fingerprint=certificate_sha256)
