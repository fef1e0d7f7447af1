"""Each role of staff has exactly the rights of the table, and sees no more than they allow."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client

from accounts.models import User
from mxpanel.staff_roles import MANAGER, OPERATOR, REVIEWER, RIGHTS, SUPPORT

AsPerson = Callable[[User], Client]


@pytest.mark.parametrize("role", RIGHTS)
def test_a_group_has_its_rights_and_no_others(staff_of: Callable[[str], User], role: str) -> None:
    assert staff_of(role).get_all_permissions() == RIGHTS[role]


def test_migrating_puts_right_what_was_changed_by_hand(db: None) -> None:
    group = Group.objects.get(name=SUPPORT)
    group.permissions.set(Permission.objects.filter(codename="delete_user"))
    Group.objects.get(name=REVIEWER).delete()
    call_command("migrate", verbosity=0)
    rights = group.permissions.values_list("content_type__app_label", "codename")
    assert {f"{app}.{codename}" for app, codename in rights} == RIGHTS[SUPPORT]
    assert Group.objects.get(name=REVIEWER).permissions.count() == len(RIGHTS[REVIEWER])


@pytest.mark.parametrize("role", RIGHTS)
def test_no_role_makes_staff_or_deletes(role: str) -> None:
    grave = {"accounts.change_user", "accounts.add_user", "auth.change_group", "auth.add_group"}
    assert not RIGHTS[role] & grave
    deletes = {right for right in RIGHTS[role] if right.partition(".")[2].startswith("delete_")}
    assert deletes <= {"billing.delete_cannedtext", "billing.delete_taxrate"}  # of rates, those to come


@pytest.mark.parametrize(
    ("role", "sees", "sees_not"),
    [
        (REVIEWER, ["Orders to review", "/admin/billing/order/"], ["/domains/", "/accounts/user/"]),
        (SUPPORT, ["Orders to review", "/accounts/user/", "/domains/mailbox/"], ["/domains/mailserver/"]),
        (OPERATOR, ["/domains/mailserver/", "/domains/incident/"], ["Orders to review", "/billing/order/"]),
        (MANAGER, ["Orders to review", "/billing/plan/", "/accounts/user/"], ["/domains/mailserver/"]),
    ],
)
def test_the_first_page_shows_what_the_role_may_see(
    staff_of: Callable[[str], User], as_: AsPerson, role: str, sees: list[str], sees_not: list[str]
) -> None:
    html = as_(staff_of(role)).get("/admin/").content.decode()
    assert [text for text in sees if text not in html] == []
    assert [text for text in sees_not if text in html] == []


def test_a_role_alone_lets_nobody_in(staff_of: Callable[[str], User], as_: AsPerson) -> None:
    """Neither without the second factor, nor once somebody is no staff any more."""
    manager = staff_of(MANAGER)
    manager.authenticator_set.all().delete()
    answer = as_(manager).get("/admin/review/")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/2fa/")
    manager.is_staff = False
    manager.save()
    assert as_(manager).get("/admin/review/").status_code == 403


def test_what_is_lacking_is_said(staff_of: Callable[[str], User], as_: AsPerson) -> None:
    answer = as_(staff_of(OPERATOR)).get("/admin/review/")
    assert answer.status_code == 403
    assert "Ask a manager" in answer.content.decode()
