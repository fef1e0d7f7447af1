"""What happens when several change the same things at the same moment."""

import pytest

from accounts.models import Customer, SuspensionCause
from domains.models import Domain, Mailbox, MailServer, ServerRow, add_domain
from domains.placement import place
from tests.at_once import at_once, refused
from tests.domains.conftest import HASH

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def test_the_last_places_of_a_plan_are_given_once(acme, mx1, subscribe):
    subscribe(acme, mailboxes=3, domains=1)
    domain = add_domain(acme, "acme.test", by=None)
    adding = [lambda n=n: domain.add_mailbox(f"m{n}", password_hash=HASH, by=None) for n in range(8)]
    assert refused(at_once(*adding)) == 5
    assert Mailbox.objects.count() == 3
    assert refused(at_once(*[lambda n=n: add_domain(acme, f"d{n}.test", by=None) for n in range(2)])) == 2


def test_one_name_has_one_holder(acme, other, mx1, subscribe):
    subscribe(acme)
    subscribe(other)
    for number in range(4):
        name = f"n{number}.test"
        results = at_once(
            lambda name=name: add_domain(acme, name, by=None), lambda name=name: add_domain(other, name, by=None)
        )  # fmt: skip
        assert refused(results) == 1
        assert Domain.objects.live().filter(name=name).count() == 1


def test_one_address_has_one_mailbox(acme, mx1, subscribe):
    subscribe(acme)
    domain = add_domain(acme, "acme.test", by=None)
    for number in range(4):
        add = lambda number=number: domain.add_mailbox(f"m{number}", password_hash=HASH, by=None)  # noqa: E731
        assert refused(at_once(add, add)) == 1


def test_what_is_added_while_its_customer_is_placed_is_not_forgotten(acme, mx1, subscribe):
    subscribe(acme)
    domain = add_domain(acme, "acme.test", by=None)
    for number in range(12):
        acme.refresh_from_db()
        at_once(
            lambda: place(acme, by=None),
            lambda number=number: domain.add_mailbox(f"m{number}", password_hash=HASH, by=None),
        )  # fmt: skip
        rows = set(ServerRow.objects.filter(kind="mailbox", gone=False).values_list("key", flat=True))
        assert rows == set(Mailbox.objects.values_list("pk", flat=True))
        ServerRow.objects.all().delete()
        acme.placement.delete()


def test_changing_and_restoring_at_once_do_not_wait_for_each_other(acme, mx1, subscribe):
    subscribe(acme, mailboxes=5)
    place(acme, by=None)
    domain = add_domain(acme, "acme.test", by=None)
    mailbox = domain.add_mailbox("anna", password_hash=HASH, by=None)
    for number in range(6):
        mailbox.delete(by=None)
        same = Mailbox.objects.select_related("domain__customer").get(pk=mailbox.pk)
        at_once(lambda: mailbox.restore(by=None), lambda same=same, n=number: same.change(n, "", by=None))
        mailbox.refresh_from_db()
        assert mailbox.deleted_at is None


def test_stopping_a_customer_at_once_is_one_suspension_of_each_cause(acme):
    def stop(cause):
        Customer.objects.get(pk=acme.pk).suspend(reason="r", stops=["send"], by=None, cause=cause)

    at_once(*[lambda cause=cause: stop(cause) for cause in [*SuspensionCause] * 2])
    assert sorted(acme.suspensions.values_list("cause", flat=True)) == ["staff", "unpaid"]


def test_suspending_twice_at_once_is_one_suspension(acme, mx1, subscribe):
    subscribe(acme)
    place(acme, by=None)
    mailbox = add_domain(acme, "acme.test", by=None).add_mailbox("anna", password_hash=HASH, by=None)
    at_once(*[lambda: Mailbox.objects.get(pk=mailbox.pk).suspend(by=None) for _ in range(4)])
    assert mailbox.suspensions.count() == 1
    assert MailServer.objects.behind().exists()
