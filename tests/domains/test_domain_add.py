import re
import time

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.exceptions import ValidationError
from django.db import connection

from accounts.models import AuditEntry
from domains.models import Domain, OwnershipKey, ServerRow, add_domain
from tests.domains.conftest import BASE, make_server
from tests.plans import sell_as

URL = f"{BASE}add/"


@pytest.fixture
def label(served) -> str:
    return OwnershipKey.of(served).label


def test_works(as_, alice, served, dns, label, mx1, real_dkim):
    client = as_(alice)
    page = client.get(URL).content.decode()
    shown = re.search(r"data-record-name>([^<]+)<", page)[1]
    assert re.fullmatch(r"_da-verify-[0-9a-f]{32}", shown)
    assert shown == label
    assert "data-record-value>domain-verified<" in page
    dns.publish(f"{shown}.new.test", "TXT", "domain-verified")

    response = client.post(URL, {"domain": "New.TEST."})

    assert response.status_code == 302
    assert response["Location"] == f"{BASE}new.test/"
    domain = served.domains.get()
    key = domain.dkim_key
    assert load_pem_private_key(key.private_key.encode(), None).key_size == 2048
    with connection.cursor() as cursor:
        cursor.execute("SELECT private_key FROM domains_dkimkey")
        assert "PRIVATE KEY" not in cursor.fetchone()[0]
    assert set(ServerRow.objects.filter(server=mx1).values_list("kind", "key")) == {
        ("domain", domain.pk), ("dkim", key.pk),
    }  # fmt: skip
    assert AuditEntry.objects.get(action="domain.add").by == alice


def test_stranger_gets_404(as_, mallory, other, served, dns):
    assert as_(mallory).get(URL).status_code == 404
    assert as_(mallory).post(URL, {"domain": "new.test"}).status_code == 404


def test_reader_gets_403(as_, bob, served, dns):
    assert as_(bob).post(URL, {"domain": "new.test"}).status_code == 403


def test_twice_is_told(as_, alice, domain, dns, label):
    dns.publish(f"{label}.acme.test", "TXT", "domain-verified")
    response = as_(alice).post(URL, {"domain": "acme.test"})
    assert response.status_code == 422
    page = response.content.decode()
    assert 'data-result="taken"' in page
    assert "You have acme.test already" in page
    assert Domain.objects.count() == 1


def test_missing(as_, alice, served, dns, label):
    response = as_(alice).post(URL, {"domain": "new.test"})
    assert response.status_code == 422
    page = response.content.decode()
    assert 'data-result="missing"' in page
    assert f"{label}.new.test" in page
    assert 'id="id_domain_error"' in page
    assert 'value="new.test"' in page
    assert not Domain.objects.exists()


@pytest.mark.parametrize("value", ["domain-unverified", "v=spf1 -all", "xdomain-verified"])
def test_other_values_are_missing(as_, alice, served, dns, label, value):
    dns.publish(f"{label}.new.test", "TXT", value)
    response = as_(alice).post(URL, {"domain": "new.test"})
    assert 'data-result="missing"' in response.content.decode()


def test_value_beside_others_proves(as_, alice, served, dns, label):
    dns.publish(f"{label}.new.test", "TXT", "something else", " Domain-Verified ")
    assert as_(alice).post(URL, {"domain": "new.test"}).status_code == 302


def test_unchecked_within_its_deadline(as_, alice, served, dead_dns):
    before = time.monotonic()
    response = as_(alice).post(URL, {"domain": "new.test"})
    assert time.monotonic() - before < 9
    assert response.status_code == 422
    assert 'data-result="unchecked"' in response.content.decode()
    assert not Domain.objects.exists()


def test_a_zone_that_the_server_does_not_know_is_unchecked(as_, alice, served, dns):
    response = as_(alice).post(URL, {"domain": "example.com"})
    assert 'data-result="unchecked"' in response.content.decode()


def test_taken_only_when_proved(as_, mallory, other, domain, dns, subscribe):
    subscribe(other)
    client, url = as_(mallory), "/c/other/domains/add/"
    assert 'data-result="missing"' in client.post(url, {"domain": "acme.test"}).content.decode()
    dns.publish(f"{OwnershipKey.of(other).label}.acme.test", "TXT", "domain-verified")
    response = client.post(url, {"domain": "acme.test"})
    assert response.status_code == 422
    assert 'data-result="taken"' in response.content.decode()
    domain.refresh_from_db()
    assert domain.customer.username == "acme"


def test_anothers_key_does_not_prove(as_, mallory, alice, served, other, dns, label):
    dns.publish(f"{label}.new.test", "TXT", "domain-verified")
    response = as_(mallory).post("/c/other/domains/add/", {"domain": "new.test"})
    assert 'data-result="missing"' in response.content.decode()


def test_wildcard_does_not_prove(as_, alice, served, dns):
    dns.publish("*.new.test", "TXT", "domain-verified")
    response = as_(alice).post(URL, {"domain": "new.test"})
    assert 'data-result="missing"' in response.content.decode()
    assert "wildcard" in response.content.decode()


def test_alias_does_not_prove(as_, alice, served, dns, label):
    dns.publish("elsewhere.test", "TXT", "domain-verified")
    dns.publish(f"{label}.new.test", "CNAME", "elsewhere.test.")
    response = as_(alice).post(URL, {"domain": "new.test"})
    assert 'data-result="missing"' in response.content.decode()
    assert "alias" in response.content.decode()


@pytest.mark.parametrize(
    "name",
    ["", "nodots", "a b.test", "new.test\nevil.test", "-new.test", "new-.test", "new..test", "../etc",
     "x" * 65536, f"{'a' * 64}.test", "new.test;", "$(id).test", "%s.test", "'.test", "1.2.3.4",
     "xn--zz.test",     "new\x00.test", f"{'.'.join(['a' * 60] * 5)}.test"],
)  # fmt: skip
def test_hostile_names(as_, alice, served, dns, name):
    response = as_(alice).post(URL, {"domain": name})
    assert response.status_code == 422
    assert 'id="id_domain_error"' in response.content.decode()
    assert not Domain.objects.exists()


def test_names_of_every_script(as_, alice, served, dns, label):
    dns.publish(f"{label}.xn--bcher-kva.test", "TXT", "domain-verified")
    assert as_(alice).post(URL, {"domain": "Bücher.test"}).status_code == 302
    assert served.domains.get().name == "xn--bcher-kva.test"


def test_plan_is_used_up(served, alice, domain):
    sell_as(served, domains=1)
    with pytest.raises(ValidationError, match="Your plan holds 1 domains"):
        add_domain(served, "second.test", by=alice)


@pytest.mark.parametrize("name", ["mxpanel.test", "x.mxpanel.test", "mx9.elsewhere.test"])
def test_our_own_names_are_nobodys(as_, alice, served, dead_dns, name):
    """DNS is not even asked: no record would help."""
    make_server("MX9.elsewhere.test")
    answer = as_(alice).post(URL, {"domain": name})
    assert answer.status_code == 422
    assert 'data-result="taken"' in answer.content.decode()
    assert "a name of our own servers" in answer.content.decode()
    with pytest.raises(ValidationError, match="our own servers"):
        add_domain(served, name, by=alice)


def test_a_name_that_ends_alike_is_not_ours(served, mx1):
    assert add_domain(served, "notmxpanel.test", by=None)


def test_the_domain_of_the_order_is_filled_in_until_it_is_added(as_, alice, served):
    served.orders.update(domain="ordered.test")
    client = as_(alice)
    assert 'value="ordered.test"' in client.get(URL).content.decode()
    add_domain(served, "ordered.test", by=alice)
    assert 'value="ordered.test"' not in client.get(URL).content.decode()
