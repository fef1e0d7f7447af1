"""What staff edit by hand leaves its trace, and nobody raises their own rights."""

from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import AuditEntry, Customer, User
from billing.models import Plan


def test_a_member_added_by_hand_is_in_the_audit_trail(as_, other: Customer, bob: User, sam: User) -> None:
    members = {
        "memberships-TOTAL_FORMS": "2",
        "memberships-INITIAL_FORMS": "1",
        "memberships-0-id": str(other.memberships.get().pk),
        "memberships-0-customer": str(other.pk),
        "memberships-0-user": str(other.memberships.get().user_id),
        "memberships-0-role": "owner",
        "memberships-1-customer": str(other.pk),
        "memberships-1-user": str(bob.pk),
        "memberships-1-role": "reader",
    }
    client: Client = as_(sam)
    path = f"/admin/accounts/customer/{other.pk}/change/"
    answer = client.post(path, {"name": "Renamed", **members}, REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 302
    entry = AuditEntry.objects.get(action="customer.change")
    assert (entry.by, entry.customer, entry.address) == (sam, other, "192.0.2.7")
    assert "bob@example.test" in str(entry.after)


def test_a_plan_edited_by_hand_is_in_the_audit_trail(as_, sam: User) -> None:
    plan = Plan.objects.get(slug="10gb")
    form = {
        "slug": plan.slug, "name": plan.name, "storage_mb": plan.storage_mb, "sends_per_day": 1,
        "currency": "USD", "yearly_minor": 5900, "position": 0,
    }  # fmt: skip
    assert as_(sam).post(f"/admin/billing/plan/{plan.pk}/change/", form).status_code == 302
    assert AuditEntry.objects.get(action="plan.change").by == sam


def test_staff_who_may_edit_people_do_not_raise_their_own_rights(as_, sam: User) -> None:
    sam.is_superuser = False
    sam.save()
    sam.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    form = {"name": "Sam", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    assert as_(sam).post(f"/admin/accounts/user/{sam.pk}/change/", form).status_code == 302
    sam.refresh_from_db()
    assert sam.name == "Sam"
    assert not sam.is_superuser
