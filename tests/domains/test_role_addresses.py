import pytest

from accounts.models import Role
from domains import role_addresses
from domains.driver.sync import sync
from domains.models import MailServer, Placement, ServerRow, ServerSync
from tests.domains.conftest import BASE, fresh
from tests.domains.settling import settled


@pytest.fixture
def told(served, mx1):
    ServerSync.objects.filter(server=mx1).update(wire=3)
    return served


def contact() -> str:
    role_addresses.sweep()
    return Placement.objects.get().contact


def test_works(told, mx1, as_, bob, domain):
    assert contact() == "alice@example.test"
    row = ServerRow.objects.get(server=mx1, kind="customer", key=told.pk)
    assert row.revision == MailServer.objects.get().revision
    assert "goes to alice@example.test" in as_(bob).get(f"{BASE}acme.test/").content.decode()


def test_twice_is_harmless(told):
    assert role_addresses.sweep() == 1
    revision = MailServer.objects.get().revision
    assert role_addresses.sweep() == 0
    assert MailServer.objects.get().revision == revision


def test_another_address_and_another_owner(told, alice, dave):
    contact()
    alice.email = "Alice@New.example"
    alice.save()
    assert contact() == "Alice@new.example"
    told.memberships.filter(user=dave).update(role=Role.OWNER)
    assert contact() == "Alice@new.example", "the first owner stays it"
    alice.is_active = False
    alice.save()
    assert contact() == "dave@example.test"
    told.memberships.filter(role=Role.OWNER).delete()
    assert contact() == "support@mxpanel.test"


def test_a_mailnode_that_does_not_know_them_is_not_told(told, mx1):
    ServerSync.objects.filter(server=mx1).update(wire=2)
    assert contact() == ""
    ServerSync.objects.filter(server=mx1).update(wire=3)
    assert contact() == "alice@example.test"


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["postmaster@acme.test", "a@x.test"], "a@x.test"),
        (["Abuse+1@acme.test", "a@x.test"], "a@x.test"),
        (["a,b@x.test"], "support@mxpanel.test"),
        (['"a b"@x.test'], "support@mxpanel.test"),
        (["|cmd@x.test"], "support@mxpanel.test"),
        (["a%b@x.test"], "support@mxpanel.test"),
        (["a!b@x.test"], "support@mxpanel.test"),
        (["ä@x.test"], "support@mxpanel.test"),
        (["o'neil+m=x@BÜCHER.example"], "o'neil+m=x@xn--bcher-kva.example"),
        (["a" * 64 + "@" + "b." * 95 + "test"], "support@mxpanel.test"),
        (["a@localhost"], "support@mxpanel.test"),
    ],
)
def test_only_what_can_be_sent_on_to(addresses, expected):
    assert role_addresses.contact_of(addresses) == expected


def test_costs_the_same_for_many(told, django_assert_num_queries):
    contact()
    with django_assert_num_queries(2):
        role_addresses.sweep()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_the_server_holds_it(agent, server, hosted):
    role_addresses.sweep()
    sync(server.pk)
    assert settled(agent, fresh(server))
    assert agent.query("SELECT contact FROM customers") == [("alice@example.test",)]
