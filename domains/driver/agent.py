"""The client of a mail server's agent: our words for its calls, bounded in time and size, one error type."""

import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import requests
from django.conf import settings

from domains.models.server import MailServer
from foundation.outbound import OutboundError, Reply, UntrustedError, fetch, new_session
from mailnode import wire

T = TypeVar("T")

CREDENTIALS = ("certificate_sha256", "agent_key", "next_certificate_sha256", "next_agent_key")


class AgentError(Exception):
    """A call gave nothing usable; the message is for staff. `retry`: the same call may succeed later by
    itself.
    """

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


class Refused(AgentError):
    """A page cannot be applied as it is: the server refused it whole, or a row of it breaks a bound of the wire.
    `kind` and `key` name the row that it is about, where it is about one.
    """

    def __init__(self, message: str, kind: str | None, key: str | None) -> None:
        super().__init__(message, retry=False)
        self.kind = kind
        self.key = key


class Agent:
    """The agent of one mail server: pinned certificate, bearer key, a total deadline on every call."""

    def __init__(self, server: MailServer, *, deadline: float | None = None) -> None:
        """`deadline`: seconds for one call in all, settings.AGENT_DEADLINE if None."""
        self._server = server
        self._deadline = settings.AGENT_DEADLINE if deadline is None else deadline
        self._name = server.name
        self._url = server.agent_url.rstrip("/")

    def status(self) -> wire.Status:
        status = self._answer(self._call("GET", "/v1/status"), wire.Status)
        if status.name != self._name:
            raise AgentError(f"{self._name} answers as {status.name}: another server's answer.", retry=False)
        return status

    def changes(self, page: wire.Changes) -> wire.Applied | wire.Point:
        """What was applied, or, where the page does not begin at the node's own point, that point."""
        reply = self._call("POST", "/v1/changes", wire.encode(page))
        return self._shape(reply, wire.Point) if reply.status == 409 else self._applied(reply)

    def rebuild(self, page: wire.Rebuild) -> wire.Applied | wire.RebuildState:
        """What was applied, or, where the node does not wait for this page, what it waits for. The last page swaps
        everything in, which takes longer than any other call.
        """
        self._must_speak(2)
        deadline = settings.AGENT_SWAP_DEADLINE if page.last else self._deadline
        reply = self._call("POST", "/v1/rebuild", wire.encode(page), deadline=deadline)
        return self._shape(reply, wire.RebuildState) if reply.status == 409 else self._applied(reply)

    def digests(self, after: str, limit: int = wire.MAX_ENTRIES) -> wire.Digests:
        self._must_speak(2)
        return self._page("digests", wire.Digests, after=after, limit=limit)

    def digest(self, domain: UUID, after: str = "", limit: int = wire.MAX_ENTRIES) -> wire.Digest:
        return self._page("digest", wire.Digest, domain=domain.hex, after=after, limit=limit)

    def rows(self, after: str, limit: int = wire.MAX_ROWS) -> wire.RowPage:
        self._must_speak(2)
        return self._page("rows", wire.RowPage, after=after, limit=limit)

    def usage(self, after: str, limit: int = wire.MAX_ENTRIES) -> wire.UsagePage:
        return self._page("usage", wire.UsagePage, after=after, limit=limit)

    def purge(self, home: UUID) -> wire.Done:
        """Remove the mail of a deleted mailbox; its own id makes the command idempotent."""
        body = wire.encode(wire.Command(wire=self._server.sync.wire, id=home.hex, home=home.hex))
        return self._answer(self._call("POST", "/v1/commands/purge", body), wire.Done)

    def renew(self, step: Literal["begin", "switch", "end"]) -> wire.Renewal:
        """Take a step of a renewal, see domains.renewal."""
        self._must_speak(2)
        body = wire.encode(wire.Renew(wire=self._server.sync.wire, step=step))
        return self._answer(self._call("POST", "/v1/renew", body), wire.Renewal)

    def _must_speak(self, version: int) -> None:
        spoken = self._server.sync.wire
        if spoken < version:
            raise AgentError(
                f"{self._name} speaks wire {spoken}, and this needs {version}: upgrade mailnode there first.",
                retry=False,
            )

    def _page(self, name: str, shape: type[T], **query: str | int) -> T:
        return self._answer(self._call("GET", f"/v1/{name}?{urlencode(query)}"), shape)

    def _call(
        self, method: str, path: str, body: bytes | None = None, *, deadline: float | None = None
    ) -> Reply:
        """The reply to the first pin and key that fit; AgentError when none does, or when the call fails."""
        left = self._deadline if deadline is None else deadline
        ends_at = time.monotonic() + left
        failure: AgentError | None = None
        for pin, key in self._credentials():
            try:
                reply = fetch(
                    method,
                    self._url + path,
                    deadline=left,
                    max_bytes=wire.MAX_BODY,
                    session=_session(pin),
                    headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
                    data=body,
                )
            except UntrustedError as error:
                failure = AgentError(
                    f"{self._name} could not be asked: {error} If it was set up anew, enrol it again with "
                    "“manage.py server_enrol” and what “mailnode init” prints there; if not, find out who answers.",
                    retry=True,
                )
            except OutboundError as error:
                raise AgentError(f"{self._name} could not be asked: {error}", retry=error.retry) from error
            else:
                if reply.status != 401:
                    return reply
                failure = AgentError(self._no(reply, _refusal(reply)), retry=False)
            left = max(0.1, ends_at - time.monotonic())
        raise failure or AgentError(f"{self._name} has no key.", retry=False)

    def _credentials(self) -> Iterator[tuple[str, str]]:
        """Pins with their keys: the present ones, the next ones of a renewal, and what another process has made of
        these since the server was read.
        """
        server, tried = self._server, set()
        for look_again in (False, True):
            if look_again:
                server.refresh_from_db(fields=CREDENTIALS)
            present = (server.certificate_sha256, server.agent_key)
            for pair in (present, (server.next_certificate_sha256, server.next_agent_key)):
                if all(pair) and pair not in tried:
                    tried.add(pair)
                    yield pair

    def _answer(self, reply: Reply, shape: type[T]) -> T:
        if reply.status == 200:
            return self._shape(reply, shape)
        raise AgentError(self._no(reply, _refusal(reply)), retry=reply.status >= 500)

    def _applied(self, reply: Reply) -> wire.Applied:
        if reply.status == 422:
            refusal = _refusal(reply)
            row = (refusal.kind, refusal.key) if refusal else (None, None)
            raise Refused(self._no(reply, refusal), *row)
        return self._answer(reply, wire.Applied)

    def _no(self, reply: Reply, refusal: wire.Refusal | None) -> str:
        return f"{self._name} refused ({reply.status}): {_why(refusal)}"

    def _shape(self, reply: Reply, shape: type[T]) -> T:
        try:
            return wire.decode(reply.body, shape)
        except wire.WireError as error:
            raise AgentError(
                f"{self._name} gave an answer that is not understood: {error}", retry=True
            ) from error


def _refusal(reply: Reply) -> wire.Refusal | None:
    try:
        return wire.decode(reply.body[: 64 * 1024], wire.Refusal)
    except wire.WireError:
        return None


def _why(refusal: wire.Refusal | None) -> str:
    if refusal is None:
        return "without a reason that is understood."
    row = f" ({refusal.kind} {refusal.key})" if refusal.kind else ""
    return refusal.error[:500] + row


@lru_cache(maxsize=64)
def _session(certificate_sha256: str) -> requests.Session:
    """One for each process and certificate: connections are kept, and renewed when the pin changes."""
    return new_session(fingerprint=certificate_sha256)
