from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEntry, Customer
from accounts.signals import suspension_changed


@pytest.fixture
def heard():
    customers = []

    def hear(sender, customer, **kwargs):
        customers.append(customer.username)

    suspension_changed.connect(hear)
    yield customers
    suspension_changed.disconnect(hear)


def test_it_is_one_row_with_who_why_and_when(acme, sam, heard):
    suspension = acme.suspend(reason="Spam was sent.", by=sam)
    assert acme.status == "suspended"
    assert (suspension.by, suspension.reason) == (sam, "Spam was sent.")
    assert set(suspension.stops) == {"sign_in", "send", "receive"}
    assert heard == ["acme"]
    assert AuditEntry.objects.get(action="customer.suspend").by == sam


def test_lifting_it_restores_everything(acme, sam, heard):
    acme.suspend(reason="Spam was sent.", by=sam)
    assert acme.lift_suspension(by=sam)
    assert Customer.objects.get(pk=acme.pk).status == "active"
    assert heard == ["acme", "acme"]


def test_twice_is_harmless(acme, sam, heard):
    first = acme.suspend(reason="Spam was sent.", by=sam)
    assert acme.suspend(reason="Again.", by=sam) == first
    assert acme.lift_suspension(by=sam)
    assert not acme.lift_suspension(by=sam)
    assert heard == ["acme", "acme"]


def test_it_ends_by_itself(acme, sam):
    acme.suspend(reason="For an hour.", by=sam, until=timezone.now() - timedelta(seconds=1))
    assert acme.status == "active"


def test_staff_suspend_and_lift_in_admin(as_, acme, sam):
    client = as_(sam)
    form = {
        "customer": str(acme.pk),
        "stops": "sign_in,send",
        "reason": "Spam was sent.",
        "until_0": "",
        "until_1": "",
    }
    assert client.post("/admin/accounts/customersuspension/add/", form).status_code == 302
    assert acme.suspensions.get().stops == ["send", "sign_in"]
    action = {
        "action": "lift",
        "_selected_action": str(acme.suspensions.get().pk),
        "reason": "Talked to them",
    }
    assert client.post("/admin/accounts/customersuspension/", action).status_code == 302
    assert acme.suspensions.get().lifted_by == sam
    assert AuditEntry.objects.get(action="customer.suspend").after["reason"] == "Spam was sent."
    lifted = AuditEntry.objects.get(action="customer.unsuspend")
    assert (lifted.before, lifted.after) == ({"stops": ["send", "sign_in"]}, {"reason": "Talked to them"})
