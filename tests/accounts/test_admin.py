"""What staff edit by hand leaves its trace, and nobody raises their own rights."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import AuditEntry, Customer, User
from billing.models import Plan

As = Callable[[User], Client]


def shown(customer: Customer) -> dict[str, str]:
    """What the browser sends along of the members, who are shown."""
    counts = {"memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "1"}
    return {**counts, "memberships-0-id": str(customer.memberships.get().pk)}


def test_what_is_renamed_by_hand_stands_in_the_audit_trail_with_the_reason(
    as_: As, other: Customer, mallory: User, sam: User
) -> None:
    form = {"name": "Renamed", "reason": "They married", **shown(other)}
    path = f"/admin/accounts/customer/{other.pk}/change/"
    assert b'name="reason"' in as_(sam).get(path).content
    assert as_(sam).post(path, form, REMOTE_ADDR="192.0.2.7").status_code == 302
    entry = AuditEntry.objects.get(action="customer.change")
    assert (entry.by, entry.customer, entry.address) == (sam, other, "192.0.2.7")
    assert (entry.before, entry.after) == (
        {"name": "Other Inc"},
        {"name": "Renamed", "reason": "They married"},
    )
    page = as_(mallory).get("/c/other/audit/").content.decode()
    assert "name: Other Inc → Renamed" in page
    assert "Reason: They married" in page
    as_(sam).post(path, form)  # the same again
    assert AuditEntry.objects.filter(action="customer.change").count() == 1


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "x" * 501])
def test_without_a_reason_nothing_is_changed(as_: As, other: Customer, sam: User, reason: str) -> None:
    answer = as_(sam).post(
        f"/admin/accounts/customer/{other.pk}/change/", {"name": "X", "reason": reason, **shown(other)}
    )
    assert b"errorlist" in answer.content
    other.refresh_from_db()
    assert other.name == "Other Inc"
    assert not AuditEntry.objects.filter(action="customer.change").exists()


def test_members_are_not_changed_by_hand(as_: As, other: Customer, bob: User, sam: User) -> None:
    """That would go past the last owner, the audit trail and the mails."""
    owner = other.memberships.get()
    members = {
        "memberships-TOTAL_FORMS": "2",
        "memberships-INITIAL_FORMS": "1",
        "memberships-0-id": str(owner.pk),
        "memberships-0-customer": str(other.pk),
        "memberships-0-user": str(owner.user_id),
        "memberships-0-role": "reader",
        "memberships-0-DELETE": "on",
        "memberships-1-customer": str(other.pk),
        "memberships-1-user": str(bob.pk),
        "memberships-1-role": "owner",
    }
    path = f"/admin/accounts/customer/{other.pk}/change/"
    page = as_(sam).get(path).content.decode()
    assert owner.user.email in page
    assert "memberships-0-role" not in page
    as_(sam).post(path, {"name": "Renamed", "reason": "x", **members})
    assert [(each.user, each.role) for each in other.memberships.all()] == [(owner.user, "owner")]


def test_a_plan_edited_by_hand_is_in_the_audit_trail(as_, sam: User) -> None:
    plan = Plan.objects.get(slug="10gb")
    form = {
        "slug": plan.slug, "name": plan.name, "storage_mb": plan.storage_mb, "sends_per_day": 1,
        "currency": "USD", "yearly_minor": 5900, "position": 0,
    }  # fmt: skip
    assert as_(sam).post(f"/admin/billing/plan/{plan.pk}/change/", form).status_code == 302
    entry = AuditEntry.objects.get(action="plan.change")
    assert entry.by == sam
    assert entry.before["sends_per_day"] != entry.after["sends_per_day"] == 1


def test_staff_who_may_edit_people_do_not_raise_their_own_rights(as_, sam: User) -> None:
    sam.is_superuser = False
    sam.save()
    sam.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    form = {"name": "Sam", "is_active": "on", "is_staff": "on", "is_superuser": "on", "reason": "Shorter"}
    assert as_(sam).post(f"/admin/accounts/user/{sam.pk}/change/", form).status_code == 302
    sam.refresh_from_db()
    assert sam.name == "Sam"
    assert not sam.is_superuser
