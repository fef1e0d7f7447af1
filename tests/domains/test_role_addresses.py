import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from accounts.models import Role
from domains import role_addresses
from domains.driver import watching
from domains.driver.sync import sync
from domains.models import MailServer, Placement, ServerRow, ServerSync
from mailnode.wire import Disk, Status
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
    alice.save(update_fields=["email"])
    assert contact() == "Alice@new.example"
    told.memberships.get(user=dave).change_role(Role.OWNER, by=None)
    assert contact() == "Alice@new.example", "the first owner stays it"
    alice.is_active = False
    alice.save()
    assert contact() == "dave@example.test"
    told.memberships.filter(role=Role.OWNER).delete()
    assert contact() == "support@mxpanel.test"


def test_a_mailnode_that_does_not_know_them_is_not_told(told, mx1, monkeypatch):
    def speaks(version: int) -> None:
        status = Status(
            wire=3, wires=[1, version], version="1", name=mx1.name, revision=0, mark="", effective=0, services=[],
            disk=Disk(total=1, free=1), queue=0, certificate_not_after=0, rows={}, lag_error=None, time=0,
        )  # fmt: skip
        monkeypatch.setattr(watching.Agent, "status", lambda _: status)
        watching.pull_status(fresh(mx1))

    contact()
    speaks(2)
    assert contact() == ""
    speaks(3)
    assert contact() == "alice@example.test"


def test_what_nobody_told_of_is_seen_within_a_day(told, alice, settings):
    contact()
    type(alice).objects.filter(pk=alice.pk).update(email="quiet@example.test")
    assert contact() == "alice@example.test"
    Placement.objects.update(contact_due_at=F("contact_due_at") - role_addresses.EVERY)
    assert contact() == "quiet@example.test"


def test_a_change_while_it_is_looked_at_is_not_missed(told, alice, monkeypatch):
    """It commits after the owners were read, and before the look has ended."""
    read = role_addresses._owners

    def reads(ids):
        found = read(ids)
        alice.email = "late@example.test"
        alice.save()
        return found

    monkeypatch.setattr(role_addresses, "_owners", reads)
    assert contact() == "alice@example.test"
    monkeypatch.setattr(role_addresses, "_owners", read)
    assert contact() == "late@example.test"


def test_a_look_that_dies_is_made_good_for(told, monkeypatch):
    monkeypatch.setattr(role_addresses, "_wrong", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        role_addresses.sweep()
    monkeypatch.undo()
    Placement.objects.update(contact_due_at=F("contact_due_at") - role_addresses.CLAIM)
    assert contact() == "alice@example.test"


def test_signing_in_is_no_change(told, alice):
    contact()
    due = Placement.objects.get().contact_due_at
    alice.last_login = timezone.now()
    alice.save(update_fields=["last_login"])
    assert Placement.objects.get().contact_due_at == due


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


def test_costs_what_has_changed(told, other, mx1, monkeypatch, django_assert_num_queries):
    """Nothing where nothing has, by an index; of thousands, those that have."""
    Placement.objects.create(customer=other, server=mx1, placed_at=timezone.now())
    assert role_addresses.sweep() == 2
    looked: list[int] = []
    wrong = role_addresses._wrong
    monkeypatch.setattr(role_addresses, "_wrong", lambda ids: looked.extend(ids) or wrong(ids))
    with django_assert_num_queries(3):  # a savepoint around the one that finds none
        role_addresses.sweep()
    other.memberships.get().save()
    role_addresses.sweep()
    assert looked == [other.placement.pk]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    due = Placement.objects.filter(contact_due_at__lte=timezone.now()).exclude(placed_at=None)
    assert "placement_contact_due" in due.order_by("contact_due_at")[:500].explain()


def test_many_in_turns(told, other, mx1, monkeypatch):
    monkeypatch.setattr(role_addresses, "AT_ONCE", 1)
    Placement.objects.create(customer=other, server=mx1, placed_at=timezone.now())
    assert role_addresses.sweep() == 2


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_the_server_holds_it(agent, server, hosted):
    role_addresses.sweep()
    sync(server.pk)
    assert settled(agent, fresh(server))
    assert agent.query("SELECT contact FROM customers") == [("alice@example.test",)]
