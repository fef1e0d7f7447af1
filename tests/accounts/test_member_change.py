"""A member gets another role."""

import pytest
from django.core.exceptions import ValidationError

from accounts.models import AuditEntry, Role
from tests.at_once import at_once, refused


def path(acme, who):
    return f"/c/acme/members/{acme.memberships.get(user=who).pk}/change/"


def test_it_holds_at_once_is_written_down_and_told(as_, acme, alice, bob, delivered):
    client = as_(bob)
    assert client.get("/c/acme/domains/add/").status_code == 403
    assert as_(alice).post(path(acme, bob), {"role": "admin"}).url == "/c/acme/members/"
    assert client.get("/c/acme/domains/add/").status_code == 200
    entry = AuditEntry.objects.get(action="member.change")
    assert (entry.by, entry.subject) == (alice, "bob@example.test")
    assert (entry.before, entry.after) == ({"role": "reader"}, {"role": "admin"})
    (message,) = delivered()
    assert message.to == ["bob@example.test"]
    assert "from reader to admin" in message.body


def test_who_may_not(as_, acme, other, alice, bob, carol, dave, mallory):
    assert as_(mallory).post(path(acme, bob), {"role": "admin"}).status_code == 404
    assert as_(carol).post(path(acme, bob), {"role": "admin"}).status_code == 403
    assert as_(dave).post(path(acme, alice), {"role": "reader"}).status_code == 403
    assert as_(dave).post(path(acme, bob), {"role": "owner"}).status_code == 422
    foreign = f"/c/acme/members/{other.memberships.get().pk}/change/"
    assert as_(alice).post(foreign, {"role": "reader"}).status_code == 404
    assert as_(alice).post(f"/c/acme/members/{9**30}/change/", {"role": "reader"}).status_code == 404
    assert not AuditEntry.objects.filter(action="member.change").exists()


def test_twice_is_harmless(as_, acme, alice, bob):
    for _ in range(2):
        assert as_(alice).post(path(acme, bob), {"role": "billing"}).status_code == 302
    assert AuditEntry.objects.filter(action="member.change").count() == 1


def test_the_last_owner_keeps_the_role(as_, acme, alice, bob):
    answer = as_(alice).post(path(acme, alice), {"role": "admin"})
    assert answer.status_code == 422
    assert "The last owner stays" in answer.content.decode()
    acme.memberships.get(user=bob).change_role(Role.OWNER, by=alice)
    assert as_(alice).post(path(acme, alice), {"role": "admin"}).status_code == 302


def test_an_owner_who_cannot_sign_in_does_not_count(acme, alice, bob):
    acme.memberships.get(user=bob).change_role(Role.OWNER, by=alice)
    bob.is_active = False
    bob.save()
    with pytest.raises(ValidationError, match="last owner"):
        acme.memberships.get(user=alice).change_role(Role.ADMIN, by=alice)


def test_with_the_role_goes_what_it_offered(acme, alice, dave):
    acme.invite_member("new@example.test", Role.READER, by=dave)
    acme.memberships.get(user=dave).change_role(Role.READER, by=alice)
    assert not acme.invitations.pending().exists()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_two_owners_who_step_down_at_once_one_stays(acme, alice, bob):
    for _ in range(5):
        acme.memberships.filter(user__in=[alice, bob]).update(role=Role.OWNER)
        members = list(acme.memberships.filter(user__in=[alice, bob]).select_related("user"))
        acts = [lambda m=m: m.change_role(Role.READER, by=m.user) for m in members]
        assert refused(at_once(*acts)) == 1
        assert acme.memberships.filter(role=Role.OWNER).count() == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_owners_do_not_take_each_others_role_at_once(acme, alice, bob):
    for _ in range(5):
        acme.memberships.filter(user__in=[alice, bob]).update(role=Role.OWNER)
        own, others = acme.memberships.get(user=alice), acme.memberships.get(user=bob)
        results = at_once(
            lambda m=others: m.change_role(Role.READER, by=alice),
            lambda m=own: m.change_role(Role.READER, by=bob),
        )
        assert refused(results) == 1
        assert acme.memberships.filter(role=Role.OWNER).count() == 1
