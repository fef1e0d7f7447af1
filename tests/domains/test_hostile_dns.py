"""A name server that lies, dawdles and babbles: nothing of it makes a record missing, or holds a check up."""

import socket
import struct
import threading
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from domains.dns import records
from domains.dns.resolver import Resolver, Unchecked
from tests.ports import free_port


class Hostile:
    """Answers each UDP question by `answer(query) -> bytes or None`, and TCP ones by `over_tcp`."""

    def __init__(self, answer, over_tcp=None) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port = free_port()
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        self.answer, self.over_tcp = answer, over_tcp
        for serve in (self._udp, self._tcp):
            threading.Thread(target=serve, daemon=True).start()

    def _udp(self) -> None:
        while True:
            try:
                question, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if (wire := self.answer(dns.message.from_wire(question))) is not None:
                self.udp.sendto(wire, peer)

    def _tcp(self) -> None:
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection:
                size = struct.unpack("!H", connection.recv(2))[0]
                question = dns.message.from_wire(connection.recv(size))
                if self.over_tcp and (wire := self.over_tcp(question)):
                    connection.sendall(struct.pack("!H", len(wire)) + wire)

    def close(self) -> None:
        self.udp.close()
        self.tcp.close()


@pytest.fixture
def hostile(settings):
    started = []

    def start(answer, over_tcp=None) -> None:
        started.append(Hostile(answer, over_tcp))
        settings.DNS_NAMESERVERS = [f"127.0.0.1@{started[-1].port}"]

    yield start
    for server in started:
        server.close()


def reply(query, *rdata: str, rdtype: str = "TXT"):
    answer = dns.message.make_response(query)
    if rdata:
        answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", rdtype, *rdata))
    return answer


def asked(name: str = "acme.test", rdtype: str = "TXT", deadline: float = 2.0):
    return Resolver(name, deadline).ask(name, rdtype)


def test_slow(hostile):
    hostile(lambda query: time.sleep(1) or None)
    began = time.monotonic()
    with pytest.raises(Unchecked):
        asked()
    assert time.monotonic() - began < 4.5  # dnspython alone takes five


def test_truncated_is_asked_again_over_tcp(hostile):
    def cut(query) -> bytes:
        answer = reply(query)
        answer.flags |= dns.flags.TC
        return answer.to_wire()

    hostile(cut, lambda query: reply(query, '"whole"').to_wire())
    assert asked().values == ("whole",)
    hostile(cut)
    with pytest.raises(Unchecked):
        asked()


def test_wrong_ids_are_no_answers(hostile):
    def forged(query) -> bytes:
        answer = reply(query, '"forged"')
        answer.id ^= 1
        return answer.to_wire()

    hostile(forged)
    with pytest.raises(Unchecked):
        asked()


def test_looping_aliases(hostile):
    hostile(lambda query: reply(query, f"x{query.question[0].name}", rdtype="CNAME").to_wire())
    with pytest.raises(Unchecked):
        asked()


def test_64_kb_of_txt(hostile, dkim_pair):
    def cut(query) -> bytes:
        answer = reply(query)
        answer.flags |= dns.flags.TC
        return answer.to_wire()

    huge = [" ".join(['"' + "v=spf1 " + "a" * 240 + '"'] * 30 + [f'"{number}"']) for number in range(8)]
    hostile(cut, lambda query: reply(query, *huge).to_wire(max_size=65_535))

    class Key:
        selector, public_key = "k1", dkim_pair.public_base64

    began = time.monotonic()
    found = records.check(
        "acme.test", [r for r in records.expected("acme.test", None, Key()) if r.kind == "spf"]
    )
    assert time.monotonic() - began < 9
    assert found["spf"]["state"] == "conflict"
    assert all(len(text) <= 500 for text in found["spf"]["found"])
    assert len(found["spf"]["found"]) <= records.SHOWN_AT_MOST
    assert len(found["spf"]["fix"]) <= records.FIX_AT_MOST


@pytest.mark.parametrize("wire", [b"", b"\0", b"\xff" * 512])
def test_garbage(hostile, wire):
    hostile(lambda query: wire)
    with pytest.raises(Unchecked):
        asked()


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"])
def test_refusals_are_not_missing(hostile, rcode):
    def refuse(query) -> bytes:
        answer = reply(query)
        answer.set_rcode(dns.rcode.from_text(rcode))
        return answer.to_wire()

    hostile(refuse)
    with pytest.raises(Unchecked, match=r"127\.0\.0\.1"):
        asked()
