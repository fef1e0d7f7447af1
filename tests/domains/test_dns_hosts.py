"""How each DNS host wants its records, and all of them in one file."""

import csv
import io

import dns.zone
import pytest

from domains.dns.hosts import HOSTS, entered, host_of
from domains.models import DnsCheck
from tests.domains.conftest import BASE


@pytest.mark.parametrize(
    ("servers", "name"),
    [
        (["ada.ns.cloudflare.com.", "bob.ns.cloudflare.com."], "Cloudflare"),
        (["ns-12.awsdns-34.co.uk.", "NS-1.AWSDNS-02.COM."], "Amazon Route 53"),
        (["ns1.domaincontrol.com."], "GoDaddy"),
        (["ada.ns.cloudflare.com.", "ns1.gandi.net."], None),
        (["ns.cloudflare.com.evil.test."], None),
        (["notgandi.net."], None),
        ([], None),
    ],
)
def test_host(servers, name):
    host = host_of(servers)
    assert (host.name if host else None) == name


def test_each_host_is_found_by_its_servers_and_has_a_way():
    assert len(HOSTS) >= 15
    for host in HOSTS:
        assert host.path
        assert all(host_of([f"ns1.{end}"]) is host for end in host.servers), host.name
        assert entered("_dmarc.acme.test", "acme.test", host) == "_dmarc"


def test_page_names_the_host(as_, alice, domain):
    DnsCheck.objects.create(domain=domain, nameservers=["ada.ns.cloudflare.com."])
    page = as_(alice).get(f"{BASE}acme.test/").content.decode()
    assert 'data-host="Cloudflare"' in page
    assert "<code>k1._domainkey</code>" in page


def test_zone_file_is_what_a_name_server_reads(as_, alice, domain):
    text = as_(alice).get(f"{BASE}acme.test/records.zone").content.decode()
    zone = dns.zone.from_text(text, origin="acme.test.", check_origin=False, relativize=False)
    key = zone.get_rdataset("k1._domainkey.acme.test.", "TXT")[0]
    assert b"".join(key.strings).decode() == f"v=DKIM1; k=rsa; p={domain.dkim_key.public_key}"
    assert zone.get_rdataset("acme.test.", "MX")[0].to_text() == "10 mx1.mxpanel.test."


def test_csv(as_, alice, domain):
    rows = list(csv.reader(io.StringIO(as_(alice).get(f"{BASE}acme.test/records.csv").content.decode())))
    assert [row[:2] for row in rows[1:]] == [
        ["acme.test", "MX"],
        ["acme.test", "TXT"],
        ["k1._domainkey.acme.test", "TXT"],
        ["_dmarc.acme.test", "TXT"],
    ]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_key_page_splits_the_record(as_, alice, domain):
    page = as_(alice).get(f"{BASE}acme.test/dkim/").content.decode()
    value = f"v=DKIM1; k=rsa; p={domain.dkim_key.public_key}"
    assert f"<code>{value[:255]}</code>" in page.replace("&#x27;", "'")
    assert f"<code>{value[255:]}</code>" in page
    assert 'data-state="unchecked"' in page
