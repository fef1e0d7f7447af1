"""Publishes in the local stack's DNS what the owners of the demo domains, and we ourselves, would publish."""

import os
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import dns.query
import dns.rcode
import dns.update
from django.conf import settings

from domains.models import MailServer
from mxpanel.demo import demo_domains

ZONE = "test."
TTL = 60
CHUNK = 255  # octets in one character-string of a TXT record (RFC 1035, 3.3)


class Published(NamedTuple):
    name: str
    rdtype: str
    value: str


def publish_demo_records() -> None:
    """Send RFC 2136 updates to DEMO_DNS (`host@port`); nothing where that is not set."""
    target = os.environ.get("DEMO_DNS")
    if not target:
        return
    host, _, port = target.partition("@")
    records = sorted([*_server_records(), *_domain_records()])
    for (name, rdtype), group in groupby(records, key=lambda record: record[:2]):
        update = dns.update.UpdateMessage(ZONE)
        update.delete(f"{name}.", rdtype)
        for record in group:
            update.add(f"{name}.", TTL, rdtype, record.value)
        answer = dns.query.tcp(update, host, port=int(port or 53), timeout=5)
        if answer.rcode() != dns.rcode.NOERROR:
            raise OSError(f"The DNS server refused {name} {rdtype}: {dns.rcode.to_text(answer.rcode())}.")


def _server_records() -> Iterator[Published]:
    addresses = []
    for server in MailServer.objects.all():
        addresses.append(server.address)
        yield Published(server.name, "A", server.address)
    senders = " ".join(f"ip4:{address}" for address in addresses)
    yield Published(settings.SPF_INCLUDE, "TXT", quoted(f"v=spf1 {senders} -all"))


def _domain_records() -> Iterator[Published]:
    for domain in demo_domains():
        for record in domain.records:
            value = f"{record.priority} {record.value}" if record.rdtype == "MX" else quoted(record.value)
            yield Published(record.name, record.rdtype, value)


def quoted(text: str) -> str:
    """A TXT value in presentation form, cut into strings of at most 255 octets."""
    return " ".join(f'"{text[start : start + CHUNK]}"' for start in range(0, len(text), CHUNK))
