"""Asking DNS: the servers of DNS_NAMESERVERS where set, else the zone's own, all within one deadline.

What is not there and what could not be asked are two different answers, and only the first is an answer.
"""

import socket
import time
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
from django.conf import settings

DEADLINE = 5.0  # seconds for all questions of one check together
TRY = 1.5  # seconds for one server before the next is asked
OWN_PORT = 53
ALIASES_AT_MOST = 8


class Unchecked(Exception):
    """No server gave an answer; the message says which failed and how, for the domain's owner."""


class Answer(NamedTuple):
    """`values`: texts of the records at `name`; empty when there are none. TXT chunks are joined (RFC 7208,
    3.3). `alias`: where the name points to, if it is a CNAME. `ttl`: for how many seconds resolvers may keep the
    answer, also that there is nothing (RFC 2308, 5).
    """

    name: str
    values: tuple[str, ...]
    alias: str = ""
    ttl: int = 0


class Resolver:
    """Asks about one zone. Made new for each check: its deadline runs from there."""

    def __init__(self, zone: str, deadline: float = DEADLINE) -> None:
        self._ends_at = time.monotonic() + deadline
        self._zone = zone
        self._servers: list[dns.nameserver.Do53Nameserver] | None = None

    def ask(self, name: str, rdtype: str, *, follow: bool = True) -> Answer:
        """The records of this type; raises Unchecked when nobody could be asked. `follow` follows CNAMEs."""
        alias = ""
        for _ in range(ALIASES_AT_MOST):
            answer = self._ask_once(alias or name, rdtype)
            if answer.values or not answer.alias or not follow:
                return answer._replace(name=name, alias=alias or answer.alias)
            alias = answer.alias
        raise Unchecked(f"{name} leads through too many aliases.")

    def _ask_once(self, name: str, rdtype: str) -> Answer:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = self._nameservers_of(name)
        resolver.timeout = TRY
        resolver.retry_servfail = False
        try:
            found = resolver.resolve(
                dns.name.from_text(name),
                rdtype,
                lifetime=self._left(),
                raise_on_no_answer=False,
                search=False,
            )
        except dns.resolver.NXDOMAIN as error:
            responses = list(error.responses().values())
            return Answer(name, (), _alias(name, responses), _ttl_of_nothing(responses))
        except dns.exception.DNSException as error:
            raise Unchecked(f"The name servers of {self._zone} could not be asked: {_why(error)}") from error
        answer = _read(name, rdtype, found.response)
        if not answer.values and not answer.alias and not self._may_say_nothing(found.response):
            raise Unchecked(f"A name server of {self._zone} does not know the zone it is named for.")
        return answer

    def _may_say_nothing(self, response: dns.message.Message) -> bool:
        """A zone's own server that has no authority over it only points elsewhere: that is no "there is
        none".
        """
        return bool(settings.DNS_NAMESERVERS) or bool(response.flags & dns.flags.AA)

    def _nameservers_of(self, name: str) -> list[dns.nameserver.Do53Nameserver]:
        if settings.DNS_NAMESERVERS:
            return [_configured(text) for text in settings.DNS_NAMESERVERS]
        if not (name == self._zone or name.endswith(f".{self._zone}")):
            return self._own_servers(name)
        if self._servers is None:
            self._servers = self._own_servers(name)
        return self._servers

    def _own_servers(self, name: str) -> list[dns.nameserver.Do53Nameserver]:
        """The authoritative servers of the zone that holds `name`, found through the machine's own
        resolver.
        """
        try:
            system = machine_resolver()
            apex = dns.resolver.zone_for_name(
                dns.name.from_text(name), resolver=system, lifetime=self._left()
            )
            hosts = [rdata.target for rdata in system.resolve(apex, "NS", lifetime=self._left())]
            servers = [server for host in hosts for server in self._addresses(system, host)]
        except dns.resolver.NXDOMAIN as error:
            raise Unchecked(
                f"{self._zone} is not registered, or its registry does not name its servers yet."
            ) from error
        except dns.exception.DNSException as error:
            raise Unchecked(f"The name servers of {self._zone} could not be found: {_why(error)}") from error
        if not servers:
            raise Unchecked(f"The name servers of {self._zone} have no addresses.")
        return servers

    def _addresses(
        self, system: dns.resolver.Resolver, host: dns.name.Name
    ) -> list[dns.nameserver.Do53Nameserver]:
        try:
            found = system.resolve(host, "A", lifetime=self._left(), raise_on_no_answer=False)
        except dns.exception.DNSException:
            return []  # the others may do
        return [dns.nameserver.Do53Nameserver(rdata.address, OWN_PORT) for rdata in found.rrset or ()]

    def _left(self) -> float:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise Unchecked(f"The name servers of {self._zone} did not answer in time.")
        return left


def machine_resolver() -> dns.resolver.Resolver:
    """The resolver of this machine (/etc/resolv.conf), by which the world finds a zone's servers."""
    return dns.resolver.Resolver()


def _configured(text: str) -> dns.nameserver.Do53Nameserver:
    """`host@port` or `host`, as in DNS_NAMESERVERS; a host name is resolved by the machine."""
    host, _, port = text.strip().partition("@")
    try:
        address = str(ip_address(host))
    except ValueError:
        address = str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0])
    return dns.nameserver.Do53Nameserver(address, int(port or 53))


def _read(name: str, rdtype: str, response: dns.message.Message) -> Answer:
    """The records of the name itself; those behind an alias count as values of the alias's end."""
    chain = dns.name.from_text(name)
    wanted = dns.rdatatype.from_text(rdtype)
    alias = _alias(name, [response])
    for rrset in response.answer:
        if rrset.rdtype == wanted and rrset.name == chain:
            return Answer(name, tuple(_text(rdata) for rdata in rrset), alias, rrset.ttl)
    return Answer(name, (), alias, _ttl_of_nothing([response]))


def _ttl_of_nothing(responses: Iterable[dns.message.Message]) -> int:
    for response in responses:
        for rrset in response.authority:
            if rrset.rdtype == dns.rdatatype.SOA:
                return min(rrset.ttl, rrset[0].minimum)
    return 0


def _alias(name: str, responses: Iterable[dns.message.Message]) -> str:
    for response in responses:
        for rrset in response.answer:
            if rrset.rdtype == dns.rdatatype.CNAME and rrset.name == dns.name.from_text(name):
                return rrset[0].target.to_text(omit_final_dot=True)
    return ""


def _text(rdata: object) -> str:
    if getattr(rdata, "rdtype", None) == dns.rdatatype.TXT:
        return b"".join(rdata.strings).decode("utf-8", "replace")  # type: ignore[attr-defined]
    return rdata.to_text()  # type: ignore[attr-defined]


def _why(error: dns.exception.DNSException) -> str:
    """What was wrong, with the servers that were asked in vain."""
    failed = [
        (str(server).removeprefix("Do53:"), code) for server, *_, code, _ in error.kwargs.get("errors", [])
    ]
    asked = ", ".join(dict.fromkeys(server for server, _ in failed))[:200]
    if isinstance(error, dns.exception.Timeout):
        return f"no answer in time{f' from {asked}' if asked else ''}."
    if isinstance(error, dns.resolver.NoNameservers):
        codes = ", ".join(sorted({str(code) for _, code in failed if code}))[:200]
        return f"{asked} answered {codes}." if codes else "none gave an answer."
    return f"{type(error).__name__}."
