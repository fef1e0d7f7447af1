"""Where a zone is hosted, by the names of its name servers, and how records are entered there."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from domains.dns.records import Record

CHUNK = 255  # octets in one character-string of a TXT record (RFC 1035, 3.3)


class Host(NamedTuple):
    """`apex`: what is entered as the name of the domain itself ("": nothing). `path`: where to click."""

    name: str
    servers: tuple[str, ...]  # what the names of its servers end with
    path: str
    apex: str = "@"


HOSTS: tuple[Host, ...] = (
    Host("Cloudflare", ("ns.cloudflare.com",), "Domains → your domain → DNS → Records → Add record"),
    Host("GoDaddy", ("domaincontrol.com",), "My Products → your domain → DNS → Add New Record"),
    Host(
        "Namecheap",
        ("registrar-servers.com",),
        "Domain List → Manage → Advanced DNS → Add New Record; for MX set Mail Settings to Custom MX",
    ),
    Host(
        "Amazon Route 53",
        ("awsdns.com", "awsdns.net", "awsdns.org", "awsdns.co.uk"),
        "Route 53 → Hosted zones → your domain → Create record",
        "",
    ),
    Host(
        "Google Cloud DNS",
        ("googledomains.com",),
        "Network services → Cloud DNS → your zone → Add standard",
        "",
    ),
    Host(
        "Azure DNS",
        ("azure-dns.com", "azure-dns.net", "azure-dns.org", "azure-dns.info"),
        "DNS zones → your zone → Recordsets → Add",
    ),
    Host("DigitalOcean", ("digitalocean.com",), "Networking → Domains → your domain → Create new record"),
    Host(
        "Hetzner",
        ("ns.hetzner.com", "ns.hetzner.de", "first-ns.de", "second-ns.de", "second-ns.com"),
        "DNS → your zone → Records → Add record",
    ),
    Host(
        "OVHcloud",
        ("ovh.net", "ovh.ca", "anycast.me"),
        "Web Cloud → Domain names → your domain → DNS zone → Add an entry",
        "",
    ),
    Host(
        "IONOS",
        ("ui-dns.com", "ui-dns.org", "ui-dns.de", "ui-dns.biz"),
        "Domains & SSL → your domain → DNS → Add record",
    ),
    Host("Gandi", ("gandi.net",), "Domain → your domain → DNS Records → Add"),
    Host("Porkbun", ("porkbun.com",), "Domain Management → your domain → DNS", ""),
    Host("Squarespace", ("squarespacedns.com",), "Domains → your domain → DNS → Custom records → Add record"),
    Host("Wix", ("wixdns.net",), "Domains → your domain → … → Manage DNS Records → Add Record", ""),
    Host("Vercel", ("vercel-dns.com",), "Domains → your domain → DNS Records → Add", ""),
    Host("Netlify", ("nsone.net",), "Domains → your domain → DNS records → Add new record"),
    Host(
        "DNSimple",
        ("dnsimple.com", "dnsimple-edge.net"),
        "Domain Names → your domain → DNS → Manage → Add",
        "",
    ),
    Host("Name.com", ("name.com",), "My Domains → your domain → Manage DNS Records", ""),
    Host("Linode", ("linode.com",), "Domains → your domain → Add a TXT or MX record", ""),
    Host("Hostinger", ("dns-parking.com",), "Domains → your domain → DNS / Nameservers → DNS records"),
    Host("Bluehost", ("bluehost.com",), "Domains → your domain → DNS → Manage records → Add record"),
    Host("DreamHost", ("dreamhost.com",), "Websites → Manage Websites → DNS Settings → Add Record", ""),
    Host("INWX", ("inwx.de", "inwx.eu", "inwx.com"), "Nameserver → your domain → New record", ""),
    Host(
        "Infomaniak",
        ("infomaniak.ch", "infomaniak.com"),
        "Domains → your domain → DNS zone → Add a record",
        "",
    ),
)


def host_of(nameservers: Iterable[str]) -> Host | None:
    """The host that all these servers belong to; None where it is not known, or there are several."""
    found = {_host(server.lower().rstrip(".")) for server in nameservers}
    return found.pop() if len(found) == 1 else None


def _host(server: str) -> Host | None:
    server = re.sub(r"\.awsdns-\d+\.", ".awsdns.", server)  # ns-12.awsdns-34.co.uk
    return next(
        (host for host in HOSTS if any(f".{server}".endswith(f".{end}") for end in host.servers)), None
    )


def entered(name: str, zone: str, host: Host) -> str:
    """What is typed into the name field of `host` for the record at `name`."""
    if name == zone:
        return host.apex
    return name.removesuffix(f".{zone}")


def chunks(value: str) -> list[str]:
    """A TXT value in pieces of at most CHUNK octets; ours are ASCII."""
    return [value[start : start + CHUNK] for start in range(0, len(value), CHUNK)]


def quoted(value: str) -> str:
    """A TXT value in presentation form (RFC 1035, 5.1)."""
    return " ".join('"' + chunk.replace("\\", "\\\\").replace('"', '\\"') + '"' for chunk in chunks(value))


def bind(records: Sequence[Record]) -> str:
    """All records as lines of a BIND zone file, with whole names."""
    return "".join(
        f"{record.name}. 3600 IN {record.rdtype} "
        + (f"{record.priority} {record.value}" if record.rdtype == "MX" else quoted(record.value))
        + "\n"
        for record in records
    )


def table(records: Sequence[Record]) -> str:
    """All records as CSV: name, type, priority, value, TTL. No cell begins like a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["name", "type", "priority", "value", "ttl"])
    for record in records:
        priority = "" if record.priority is None else record.priority
        writer.writerow([record.name, record.rdtype, priority, record.value, 3600])
    return out.getvalue()
