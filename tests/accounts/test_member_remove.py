"""A member is removed, or leaves."""

import pytest

from accounts.models import AuditEntry, Role
from tests.at_once import at_once, refused

LEAVE = "/c/acme/members/leave/"


def path(acme, who):
    return f"/c/acme/members/{acme.memberships.get(user=who).pk}/remove/"


def test_all_ends_at_once(as_, acme, alice, dave, delivered):
    theirs = as_(dave)
    acme.invite_member("friend@example.test", Role.READER, by=dave)
    invitation = acme.invitations.get()
    delivered()
    assert theirs.get("/c/acme/").status_code == 200
    assert as_(alice).post(path(acme, dave)).url == "/c/acme/members/"
    assert theirs.get("/c/acme/").status_code == 404
    assert theirs.post("/c/acme/domains/add/", {"domain": "acme.test"}).status_code == 404
    invitation.refresh_from_db()
    assert invitation.status == "revoked"
    entry = AuditEntry.objects.get(action="member.remove")
    assert (entry.by, entry.subject, entry.before) == (alice, "dave@example.test", {"role": "admin"})
    (message,) = delivered()
    assert message.to == ["dave@example.test"]
    assert "no member any more" in message.body


def test_who_may_not(as_, acme, other, alice, bob, carol, dave, mallory):
    assert as_(mallory).post(path(acme, bob)).status_code == 404
    assert as_(carol).post(path(acme, bob)).status_code == 403
    assert as_(dave).post(path(acme, alice)).status_code == 403
    assert acme.memberships.count() == 4


def test_twice_is_harmless(acme, alice, bob):
    first, second = (acme.memberships.get(user=bob) for _ in range(2))
    assert first.remove(by=alice)
    assert not second.remove(by=alice)
    assert AuditEntry.objects.filter(action="member.remove").count() == 1


def test_everybody_may_leave(as_, acme, bob, delivered):
    client = as_(bob)
    assert client.post(LEAVE).url == "/accounts/home/"
    assert client.get("/c/acme/").status_code == 404
    assert AuditEntry.objects.get(action="member.leave").by == bob
    assert delivered() == []


def test_who_leaves_one_customer_stays_with_others(as_, acme, other, bob):
    other.memberships.create(user=bob, role=Role.READER)
    assert as_(bob).post(LEAVE).url == "/accounts/home/"
    assert [each.customer for each in bob.memberships.all()] == [other]


def test_the_last_owner_may_not(as_, acme, alice, bob):
    answer = as_(alice).post(LEAVE)
    assert answer.status_code == 422
    assert "The last owner stays" in answer.content.decode()
    acme.memberships.get(user=bob).change_role(Role.OWNER, by=alice)
    assert as_(alice).post(LEAVE).status_code == 302


def test_who_was_offered_the_ownership_and_left_is_offered_it_no_more(acme, alice, dave):
    offer = acme.offer_ownership(acme.memberships.get(user=dave), by=alice)
    acme.memberships.get(user=dave).remove(by=dave)
    offer.refresh_from_db()
    assert offer.outcome == "withdrawn"


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_two_owners_who_leave_at_once_one_stays(acme, alice, bob):
    for _ in range(5):
        for user in (alice, bob):
            acme.memberships.update_or_create(user=user, defaults={"role": Role.OWNER})
        members = list(acme.memberships.filter(user__in=[alice, bob]).select_related("user"))
        assert refused(at_once(*[lambda m=m: m.remove(by=m.user) for m in members])) == 1
        assert acme.memberships.filter(role=Role.OWNER).count() == 1
