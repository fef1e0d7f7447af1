"""Agents that hang, are slow, babble or speak for others, over real TLS: each call ends in time, nothing is believed,
and nobody else waits.
"""

import gzip
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from domains.driver import meeting, watching
from domains.driver.agent import AgentError
from domains.driver.sync import sync
from domains.models import MailServer, ServerSync
from domains.tasks import pull_server
from tests.domains.conftest import make_server
from tests.domains.lying_agent import STATUS, LyingAgent, reply, slowly

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

DEADLINE = 0.4


@pytest.fixture
def short(settings) -> None:
    settings.AGENT_FAST_DEADLINE = settings.AGENT_DEADLINE = settings.AGENT_SWAP_DEADLINE = DEADLINE


@pytest.fixture
def agents() -> Iterator[Callable[[str], LyingAgent]]:
    made: list[LyingAgent] = []

    def make(name: str) -> LyingAgent:
        made.append(LyingAgent(name))
        return made[-1]

    yield make
    for agent in made:
        agent.stop()


@pytest.fixture
def liar(agents, db) -> LyingAgent:
    """The agent of mx1, which the panel knows."""
    return enrolled(agents("mx1.mxpanel.test"))


@pytest.fixture
def server(liar) -> MailServer:
    return MailServer.objects.get(name=liar.name)


def enrolled(agent: LyingAgent) -> LyingAgent:
    make_server(agent.name, agent_url=agent.url, certificate_sha256=agent.certificate_sha256)
    return agent


def state(server: MailServer) -> ServerSync:
    return ServerSync.objects.get(server=server)


HEAD = b"HTTP/1.1 200 X\r\nContent-Length: 1000000000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(b" " * 300_000_000, compresslevel=9)
APPLIED = reply({"revision": 1, "effective": 1})
ANSWERS: dict[str, Callable[[], Iterator[bytes]]] = {
    "one byte a second": lambda: slowly(APPLIED, 0.1),
    "body one byte a second": lambda: itertools.chain([HEAD], slowly(b" " * 1000, 0.1)),
    "a gigabyte": lambda: itertools.chain([HEAD], itertools.repeat(b" " * 65_536, 15_000)),
    "chunks without end": lambda: itertools.chain([CHUNKED], itertools.repeat(b"4000\r\n" + b" " * 0x4000 + b"\r\n")),
    "a bomb": lambda: iter([reply(BOMB, Content_Encoding="gzip")]),
    "headers without end": lambda: itertools.chain([b"HTTP/1.1 200 X\r\n"], itertools.repeat(b"a: b\r\n")),
    "a header without end": lambda: itertools.chain([b"HTTP/1.1 200 X\r\na: "], itertools.repeat(b"b" * 65_536)),
    "not yet, without end": lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "noise": lambda: itertools.repeat(bytes(range(256))),
    "an end": lambda: iter([b""]),
    "no JSON": lambda: iter([reply(b"<html>")]),
    "nesting": lambda: iter([reply(b"[" * 1_000_000)]),
    "another shape": lambda: iter([reply({"revision": "1"})]),
    "a list": lambda: iter([reply([1])]),
    "another revision": lambda: iter([reply({"revision": 10**6, "effective": 10**6})]),
    "a status": lambda: iter([reply(STATUS | {"name": "mx1.mxpanel.test"})]),
    "done elsewhere": lambda: iter([reply(b"", 204)]),
}  # fmt: skip


@pytest.mark.usefixtures("short")
def test_what_is_no_answer_ends_in_time_and_is_not_believed(liar, server):
    for name, answer in ANSWERS.items():
        liar.answer = lambda *request, answer=answer: answer()
        ServerSync.objects.update(failed_at=None, failures=0)
        began = time.monotonic()
        sync(server.pk)
        assert time.monotonic() - began < DEADLINE + 5, name
        found = state(server)
        assert found.failed_at, name
        assert (found.confirmed_revision, found.effective, found.contact_at) == (0, 0, None), name


@pytest.mark.usefixtures("short")
def test_one_that_takes_the_call_and_says_nothing(liar, server):
    liar.answer = liar.hang
    began = time.monotonic()
    sync(server.pk)
    assert DEADLINE < time.monotonic() - began < DEADLINE + 5
    assert "No complete answer" in state(server).failure


@pytest.mark.usefixtures("short")
def test_one_that_does_not_even_greet(mx1):
    with _silent_port() as port:
        MailServer.objects.update(agent_url=f"https://127.0.0.1:{port}")
        began = time.monotonic()
        sync(mx1.pk)
        assert time.monotonic() - began < DEADLINE + 5
    assert "No complete answer" in state(mx1).failure


def test_redirects_are_not_followed(liar, server, agents):
    """Neither the change nor the key goes to where it points."""
    other = agents("mx2.mxpanel.test")
    for status in (301, 302, 303, 307, 308):
        liar.answer = lambda *request, status=status: iter([reply(b"", status, Location=f"{other.url}/v1/x")])
        ServerSync.objects.update(failed_at=None)
        sync(server.pk)
        assert state(server).failed_at
    assert not other.asked


def test_a_status_of_another_server_is_refused(liar, server):
    liar.name = "mx2.mxpanel.test"
    pull_server(server.pk)
    found = state(server)
    assert "answers as mx2.mxpanel.test" in found.failure
    assert not found.reported


def test_another_servers_point_halts_or_changes_nothing(liar, server):
    sync(server.pk)
    liar.point = (500, "mark-of-another")
    pull_server(server.pk)
    found = state(server)
    assert (found.halted_revision, found.halted_mark) == (500, "mark-of-another")
    assert found.confirmed_revision == found.effective == 1


def test_lies_in_a_conflict_confirm_nothing(liar, server):
    """It names points that it was never given, or none at all."""
    sync(server.pk)
    MailServer.objects.update(revision=2)
    for lie in ({"revision": 2**53, "mark": ""}, {"revision": 1, "mark": "x" * 64}):
        ServerSync.objects.update(halted_at=None)
        liar.answer = lambda *request, lie=lie: iter([reply(lie, 409)])
        sync(server.pk)
        assert state(server).halted_at
    ServerSync.objects.update(halted_at=None)
    liar.answer = lambda *request: iter([reply({"revision": -1, "mark": ""}, 409)])
    sync(server.pk)
    assert not state(server).halted_at
    assert state(server).confirmed_revision == 1


def test_a_refusal_that_babbles_is_bounded(liar, server):
    liar.answer = lambda *request: iter([reply({"error": "x" * 10**6, "kind": "y" * 10**6}, 422)])
    sync(server.pk)
    assert "without a reason that is understood" in state(server).failure
    liar.answer = lambda *request: iter(
        [reply({"error": "no", "kind": "mailbox", "key": "<script>" * 8}, 422)]
    )
    sync(server.pk)
    assert "<script>" in state(server).failure  # pages escape it


def test_pages_of_usage_that_drip_end(liar, server, settings):
    pages = itertools.count()
    liar.answer = lambda *request: iter([reply({"entries": [], "next": f"g.{next(pages)}"})])
    began = time.monotonic()
    watching.pull_usage(server, ends_at=time.monotonic() + 0.5)
    assert time.monotonic() - began < 8
    liar.answer = liar.hang
    settings.AGENT_DEADLINE = DEADLINE
    with pytest.raises(AgentError):
        watching.pull_usage(server)


def test_usage_alone_that_fails_keeps_no_change_away(liar, server):
    """It says how it is, and breaks off at usage: it stays among the servers that are well, and staff hear of it."""
    sync(server.pk)

    def answer(method: str, path: str, body: bytes) -> Iterator[bytes]:
        if path.startswith("/v1/usage"):
            yield reply({"error": "broken"}, 500)
        else:
            yield from liar.honest(method, path, body)

    liar.answer = answer
    meeting.pull(server.pk)
    began_at = state(server).usage_failed_at
    assert began_at
    assert not state(server).failed_at
    meeting.pull(server.pk)
    assert state(server).usage_failed_at == began_at
    liar.answer = liar.honest
    meeting.pull(server.pk)
    assert state(server).usage_failed_at is None


@contextmanager
def _silent_port() -> Iterator[int]:
    """It takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
