from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import AuditEntry, Customer, CustomerSuspension, SuspensionCause
from accounts.models.customer import know_suspensions
from accounts.signals import suspension_changed
from tests.program import Program, data, error

UNPAID = SuspensionCause.UNPAID
OWED = "Invoice 2026-17 is not paid."


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
    assert lifted.before == {"cause": "staff", "stops": ["send", "sign_in"]}
    assert lifted.after == {"cause": "staff", "reason": "Talked to them"}


def owes(customer, *stops, reason=OWED):
    return customer.suspend(reason=reason, stops=stops or ("send",), by=None, cause=UNPAID)


def test_one_for_money_restricts_and_blocks_nothing(acme, heard):
    suspension = owes(acme)
    assert (suspension.cause, suspension.stops, suspension.by) == ("unpaid", ["send"], None)
    assert (acme.status, acme.blocked_reason, acme.suspension) == ("restricted", "", None)
    assert acme.restricted_reason == (
        "Stopped for all mailboxes: sending. The reason: Invoice 2026-17 is not paid."
    )
    assert heard == ["acme"]
    after = {"cause": "unpaid", "stops": ["send"], "reason": OWED, "until": None}
    assert AuditEntry.objects.get(action="customer.suspend").after == after


def test_another_step_replaces_it_in_one_act(acme, heard):
    first = owes(acme)
    second = owes(acme, "receive", "send")
    first.refresh_from_db()
    assert (first.lifted_at is not None, second.in_force) == (True, True)
    assert acme.restriction == second
    assert acme.restriction.stops_text == "sending and receiving"
    assert heard == ["acme", "acme"]
    entry = AuditEntry.objects.filter(action="customer.suspend").latest("at")
    assert entry.before == {"cause": "unpaid", "stops": ["send"]}
    assert entry.after["stops"] == ["receive", "send"]
    assert not AuditEntry.objects.filter(action="customer.unsuspend").exists()
    third = owes(acme, "receive", "send", reason="Two invoices are not paid.")
    assert (third != second, acme.restriction) == (True, third)


def test_the_same_step_twice_is_harmless(acme, heard):
    first = owes(acme, "send", "receive")
    assert owes(acme, "receive", "send", "send") == first
    assert acme.suspensions.count() == 1
    assert acme.lift_suspension(by=None, cause=UNPAID)
    assert not acme.lift_suspension(by=None, cause=UNPAID)
    assert (acme.status, heard) == ("active", ["acme", "acme"])


@pytest.mark.parametrize("first", SuspensionCause)
def test_each_cause_is_lifted_by_itself(acme, sam, first):
    for cause in (first, *(each for each in SuspensionCause if each != first)):
        acme.suspend(reason=f"For {cause}.", stops=["send"], by=sam, cause=cause)
    assert {*acme.suspensions_in_force} == {"staff", "unpaid"}
    assert (acme.status, acme.suspension.reason) == ("suspended", "For staff.")
    assert acme.lift_suspension(by=None, cause=UNPAID)
    assert (acme.status, acme.restricted_reason) == ("suspended", "")
    owes(acme)
    assert acme.lift_suspension(by=sam)
    assert (acme.status, acme.restriction.reason) == ("restricted", OWED)
    lifted = AuditEntry.objects.filter(action="customer.unsuspend").order_by("at")
    assert [entry.before["cause"] for entry in lifted] == ["unpaid", "staff"]


def test_the_database_knows_one_of_each_cause_and_no_other(acme):
    for cause in SuspensionCause:
        CustomerSuspension.objects.create(customer=acme, stops=["send"], reason="r", cause=cause)
    for cause in ("unpaid", "staff", "else"):
        with pytest.raises(IntegrityError), transaction.atomic():
            CustomerSuspension.objects.create(customer=acme, stops=["send"], reason="r", cause=cause)


def test_lists_know_both_causes_at_once(acme, other, sam, django_assert_num_queries):
    owes(acme)
    owes(other)
    other.suspend(reason="Spam was sent.", by=sam)
    customers = list(Customer.objects.order_by("username"))
    with django_assert_num_queries(1):
        know_suspensions(customers)
        assert {each.username: each.status for each in customers} == {
            "acme": "restricted",
            "other": "suspended",
        }


@pytest.mark.parametrize("path", ["", "domains/", "members/", "billing/"])
def test_the_pages_say_what_is_stopped_and_lead_to_billing(as_, acme, alice, bob, sam, path):
    owes(acme, "send", "receive")
    for person in (alice, bob):
        page = as_(person).get(f"/c/acme/{path}").content.decode()
        assert "Stopped for all mailboxes: sending and receiving." in page
        assert '<a href="/c/acme/billing/">See what is to be paid</a>' in page
        assert "is suspended" not in page
    acme.suspend(reason="Spam was sent.", by=sam)
    page = as_(alice).get(f"/c/acme/{path}").content.decode()
    assert 0 < page.index("Spam was sent.") < page.index(OWED)
    acme.lift_suspension(by=sam)
    acme.lift_suspension(by=None, cause=UNPAID)
    assert "Stopped for all mailboxes" not in as_(alice).get(f"/c/acme/{path}").content.decode()


def test_pages_and_programs_change_everything_while_money_is_owed(as_, acme, alice, sam):
    program = Program(acme, alice)
    owes(acme, "send", "receive")
    invited = {"email": "new@example.test", "role": "reader"}
    assert as_(alice).post("/c/acme/members/invite/", invited).status_code == 302
    assert 'data-status="restricted"' in as_(alice).get("/c/acme/").content.decode()
    data(program.post("members", {"email": "more@example.test", "role": "reader"}), 201)
    acme.suspend(reason="Spam was sent.", by=sam)
    refused = program.post("members", {"email": "third@example.test", "role": "reader"})
    assert "Spam was sent" in error(refused, 403, "FORBIDDEN")["message"]
    assert as_(alice).post("/c/acme/members/invite/", invited).status_code == 403


def test_staff_see_one_for_money_and_leave_it(as_, acme, sam):
    owed, client = owes(acme), as_(sam)
    page = client.get(f"/admin/accounts/customersuspension/{owed.pk}/change/").content.decode()
    assert "An invoice is not paid" in page
    assert "is lifted when that is paid, and never by hand." in page
    assert 'name="_save"' not in page
    own = acme.suspend(reason="Spam was sent.", by=sam)
    action = {"action": "lift", "_selected_action": [str(owed.pk), str(own.pk)], "reason": "Talked to them"}
    listed = client.post("/admin/accounts/customersuspension/", action, follow=True).content.decode()
    assert "What is stopped until an invoice is paid was not lifted." in listed
    assert {*Customer.objects.get(pk=acme.pk).suspensions_in_force} == {"unpaid"}
    form = {"customer": str(acme.pk), "stops": "send", "reason": "r", "until_0": "", "until_1": ""}
    form["cause"] = "unpaid"
    assert client.post("/admin/accounts/customersuspension/add/", form).status_code == 302
    assert {each.cause: each.reason for each in acme.suspensions.in_force()} == {"unpaid": OWED, "staff": "r"}
