from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEntry


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
    from accounts.tasks import sweep_audit

    old = AuditEntry.objects.get(action="customer.activate")
    AuditEntry.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=731))
    with transaction.atomic():
        recent = audit.record("thing.change", by=None, customer=acme)
    sweep_audit()
    assert list(AuditEntry.objects.all()) == [recent]
