from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEntry
from accounts.tasks import sweep_audit


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_an_entry_needs_the_transaction_of_its_change():
    with pytest.raises(RuntimeError, match="transaction"):
        audit.record("thing.change", by=None)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_an_entry_goes_with_its_change():
    with transaction.atomic():
        audit.record("thing.change", by=None)
        transaction.set_rollback(True)
    assert not AuditEntry.objects.exists()


def test_it_says_from_where(as_, acme, alice, sam):
    client = as_(sam)
    client.post(
        "/admin/accounts/customersuspension/add/",
        {"customer": str(acme.pk), "stops": "send", "reason": "r", "until_0": "", "until_1": ""},
        REMOTE_ADDR="192.0.2.7",
    )
    entry = AuditEntry.objects.get(action="customer.suspend")
    assert (entry.address, entry.by, entry.customer) == ("192.0.2.7", sam, acme)


def test_entries_are_erased_after_two_years(acme):
    AuditEntry.objects.create(action="thing.add", customer=acme, at=timezone.now() - timedelta(days=731))
    recent = set(AuditEntry.objects.exclude(action="thing.add"))
    sweep_audit()
    assert set(AuditEntry.objects.all()) == recent


@pytest.mark.parametrize(
    "change",
    [
        {"action": "x"}, {"at": timezone.now()}, {"subject": "x"}, {"after": {"quota_mb": 2}}, {"after": None},
        {"address": "192.0.2.8"}, {"address": "192.0.3.0"}, {"by": None}, {"customer": None},
        {"subject": "erased-x@invalid.invalid", "after": None},
    ],
)  # fmt: skip
def test_the_database_changes_no_entry(acme, alice, change):
    entry = AuditEntry.objects.create(
        action="thing.change",
        customer=acme,
        by=alice,
        subject="a",
        after={"quota_mb": 1},
        address="192.0.2.7",
    )
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        AuditEntry.objects.filter(pk=entry.pk).update(**change)


def test_the_database_deletes_no_entry_of_the_last_two_years(acme):
    entry = AuditEntry.objects.create(action="thing.add", at=timezone.now() - timedelta(days=729))
    with pytest.raises(IntegrityError, match="two years"), transaction.atomic():
        AuditEntry.objects.filter(pk=entry.pk).delete()


@pytest.mark.parametrize(
    ("address", "shortened"),
    [("192.0.2.77", "192.0.2.0"), ("2001:db8:1:2:3::4", "2001:db8:1::"), (None, None)],
)
def test_addresses_are_shortened_after_90_days(db, address, shortened):
    ages = {"old": 91, "new": 89}
    for name, days in ages.items():
        at = timezone.now() - timedelta(days=days)
        AuditEntry.objects.create(action="thing.change", subject=name, at=at, address=address)
    sweep_audit()
    assert audit.shorten_old_addresses() == 0
    addresses = dict(AuditEntry.objects.values_list("subject", "address"))
    assert addresses == {"old": shortened, "new": address}
