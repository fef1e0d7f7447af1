"""Publishing records as the owner of a domain would: RFC 2136 updates of the stack's own zone `test.`."""

import dns.query
import dns.rcode
import dns.resolver
import dns.update

from tests.e2e.stack import Stack

TTL = 1
CHUNK = 255  # octets in one string of a TXT record (RFC 1035, 3.3)


def publish(stack: Stack, name: str, rdtype: str, value: str) -> None:
    """Make this the only record of its type at `name`. TXT values are cut and quoted here."""
    update = dns.update.UpdateMessage("test.")
    text = quoted(value) if rdtype == "TXT" else value
    update.replace(f"{name.rstrip('.')}.", TTL, rdtype, text)
    host, port = stack.dns
    reply = dns.query.tcp(update, host, port=port, timeout=5)
    assert reply.rcode() == dns.rcode.NOERROR, dns.rcode.to_text(reply.rcode())


def quoted(value: str) -> str:
    return " ".join(f'"{value[start : start + CHUNK]}"' for start in range(0, len(value), CHUNK))


def txt(stack: Stack, name: bytes) -> bytes | None:
    """The TXT record of a name, as dkimpy asks for it; None where there is none."""
    resolver = dns.resolver.Resolver(configure=False)
    host, resolver.port = stack.dns
    resolver.nameservers = [host]
    try:
        answer = resolver.resolve(name.decode(), "TXT")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return None
    return b"".join(answer[0].strings)
