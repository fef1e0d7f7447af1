import re

import pytest
from dns.nameserver import Do53Nameserver
from dns.resolver import Resolver

from domains.dns import records, resolver
from tests.domains.conftest import BASE, make_server

URL = f"{BASE}acme.test/check/"


def states(client) -> dict[str, str]:
    """The state of each record on the domain's page, after asking DNS."""
    assert client.post(URL).status_code == 302
    page = client.get(f"{BASE}acme.test/").content.decode()
    return dict(re.findall(r'data-record="(\w+)".*?data-state="(\w+)"', page, re.DOTALL))


def publish_all(dns, domain) -> None:
    dns.publish("acme.test", "MX", "10 mx1.mxpanel.test.")
    dns.publish("acme.test", "TXT", "v=spf1 include:_spf.mxpanel.test -all", "google-site-verification=x")
    dns.publish("k1._domainkey.acme.test", "TXT", f"v=DKIM1; k=rsa; p={domain.dkim_key.public_key}")
    dns.publish("_dmarc.acme.test", "TXT", "v=DMARC1; p=none;")


def test_works(as_, alice, domain, dns):
    client = as_(alice)
    page = client.get(f"{BASE}acme.test/").content.decode()
    assert set(re.findall(r'data-state="(\w+)"', page)) == {"unchecked"}
    assert set(states(client).values()) == {"missing"}
    publish_all(dns, domain)
    assert states(client) == {"mx": "ok", "spf": "ok", "dkim": "ok", "dmarc": "ok"}
    assert "mx1.mxpanel.test." in client.get(f"{BASE}acme.test/").content.decode()


def test_stranger_gets_404(as_, mallory, other, domain):
    assert as_(mallory).post(URL).status_code == 404
    assert as_(mallory).get(f"{BASE}acme.test/").status_code == 404


def test_reader_gets_403_and_reads_the_page(as_, bob, domain):
    assert as_(bob).post(URL).status_code == 403
    assert as_(bob).get(f"{BASE}acme.test/").status_code == 200


def test_get_is_405(as_, alice, domain):
    assert as_(alice).get(URL).status_code == 405


def test_twice_is_harmless(as_, alice, domain, dns):
    client = as_(alice)
    assert states(client) == states(client)


def test_unchecked_is_not_missing(as_, alice, domain, dns, settings):
    publish_all(dns, domain)
    client = as_(alice)
    assert states(client)["mx"] == "ok"
    settings.DNS_NAMESERVERS = ["127.0.0.1@9"]
    assert set(states(client).values()) == {"unchecked"}


def compared(kind: str, domain, dns, name: str, rdtype: str, *values: str) -> str:
    dns.publish(name, rdtype, *values)
    expected = records.expected("acme.test", "mx1.mxpanel.test", domain.dkim_key)
    return records.check("acme.test", expected)[kind]["state"]


@pytest.mark.parametrize(
    ("values", "state"),
    [
        (["v=spf1 include:_spf.mxpanel.test ~all"], "ok"),
        (["V=SPF1  Include:_SPF.mxpanel.test mx ip4:192.0.2.1 -all"], "ok"),
        (["v=spf1 mx -all"], "different"),
        (["v=spf1 include:_spf.mxpanel.test +all"], "insecure"),
        (["v=spf1 include:_spf.mxpanel.test -all", "v=spf1 mx -all"], "conflict"),
        (["v=spf10 include:_spf.mxpanel.test"], "missing"),
        (["v=spf1 include:_spf.mxpanel.test " + "ip4:192.0.2.1 " * 20 + "-all"], "ok"),
    ],
)
def test_spf(domain, dns, values, state):
    assert compared("spf", domain, dns, "acme.test", "TXT", *values) == state


@pytest.mark.parametrize(
    ("values", "state"),
    [
        (["10 mx1.mxpanel.test."], "ok"),
        (["5 MX1.mxpanel.TEST."], "ok"),
        (["10 mx1.mxpanel.test.", "20 backup.test."], "conflict"),
        (["10 backup.test."], "different"),
        (["0 ."], "different"),
    ],
)
def test_mx(domain, dns, values, state):
    assert compared("mx", domain, dns, "acme.test", "MX", *values) == state


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ("v=DMARC1; p=reject; rua=mailto:d@acme.test", "ok"), ("v=DMARC1;p=quarantine", "ok"),
        ("v=DMARC1; rua=mailto:d@acme.test", "different"), ("something", "missing"),
    ],
)  # fmt: skip
def test_dmarc(domain, dns, value, state):
    assert compared("dmarc", domain, dns, "_dmarc.acme.test", "TXT", value) == state


def test_dkim_in_other_spelling(domain, dns):
    key = domain.dkim_key.public_key
    name = "k1._domainkey.acme.test"
    assert compared("dkim", domain, dns, name, "TXT", f"k=rsa; p={key[:30]} {key[30:]} ;v=DKIM1") == "ok"
    assert compared("dkim", domain, dns, name, "TXT", "v=DKIM1; p=") == "different"
    dns.publish("key.test", "TXT", f"v=DKIM1; p={key}")
    dns.publish(name, "TXT")
    assert compared("dkim", domain, dns, name, "CNAME", "key.test.") == "ok"


def test_alias_loops_are_unchecked(domain, dns):
    dns.publish("a.test", "CNAME", "b.test.")
    dns.publish("b.test", "CNAME", "a.test.")
    assert compared("dkim", domain, dns, "k1._domainkey.acme.test", "CNAME", "a.test.") == "unchecked"


def test_the_zones_own_servers_are_asked_without_a_setting(domain, dns, settings, monkeypatch):
    """The zone's servers are found through the machine's resolver, whose part the zone's server plays
    here.
    """
    machine = Resolver(configure=False)
    machine.nameservers = [Do53Nameserver("127.0.0.1", dns.port)]
    monkeypatch.setattr(resolver, "machine_resolver", lambda: machine)
    monkeypatch.setattr(resolver, "OWN_PORT", dns.port)
    settings.DNS_NAMESERVERS = []
    dns.publish("acme.test", "MX", "10 mx1.mxpanel.test.")
    asked = resolver.Resolver("acme.test")
    assert asked.ask("acme.test", "MX").values == ("10 mx1.mxpanel.test.",)
    assert asked.ask("nothing.acme.test", "MX").values == ()
    with pytest.raises(resolver.Unchecked, match=r"example\.com could not be found"):
        resolver.Resolver("example.com").ask("example.com", "MX")


def test_page_before_placement(as_, alice, domain):
    domain.customer.placement.delete()
    assert as_(alice).get(f"{BASE}acme.test/").status_code == 200


def test_server_of_the_page(as_, alice, domain):
    make_server("mx2.mxpanel.test")
    assert "mx1.mxpanel.test." in as_(alice).get(f"{BASE}acme.test/").content.decode()
