"""The ownership is handed over with the consent of both."""

import time
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import AuditEntry, OwnershipOffer, Role
from tests.accounts.conftest import link_in

PAGE = "/c/acme/members/ownership/"


@pytest.fixture
def to_dave(acme, dave):
    return {"to": dave.email}


def roles(acme):
    return dict(acme.memberships.values_list("user__name", "role"))


def test_the_owner_offers_the_other_accepts(as_, acme, alice, dave, to_dave, delivered):
    before = roles(acme)
    assert as_(alice).post(f"{PAGE}offer/", to_dave).url == PAGE
    assert roles(acme) == before
    (message,) = delivered()
    assert message.to == ["dave@example.test"]
    client = as_(dave)
    assert "Accept" in client.get(link_in(message, "/c/acme/members/")).content.decode()
    assert client.post(f"{PAGE}accept/").url == "/c/acme/members/"
    assert roles(acme) == {**before, "Alice Acme": "admin", "Dave Admin": "owner"}
    (told,) = delivered()
    assert told.to == ["alice@example.test"]
    entries = {entry.action: entry for entry in AuditEntry.objects.filter(customer=acme)}
    assert entries["ownership.offer"].by == alice
    taken = entries["ownership.transfer"]
    assert (taken.by, taken.subject) == (dave, "dave@example.test")
    assert (taken.before, taken.after) == ({"role": "admin"}, {"role": "owner"})
    assert entries["member.change"].after == {"role": "admin"}


def test_only_an_owner_offers_and_only_the_other_accepts(
    as_, acme, other, alice, bob, dave, mallory, to_dave
):
    assert as_(mallory).post(f"{PAGE}offer/", to_dave).status_code == 404
    assert as_(dave).post(f"{PAGE}offer/", to_dave).status_code == 403
    as_(alice).post(f"{PAGE}offer/", to_dave)
    assert as_(bob).post(f"{PAGE}accept/").status_code == 409
    assert as_(alice).post(f"{PAGE}accept/").status_code == 409
    assert as_(mallory).post(f"{PAGE}accept/").status_code == 404
    assert as_(dave).post(f"{PAGE}withdraw/").status_code == 403
    assert as_(alice).post(f"{PAGE}offer/", {"to": mallory.email}).status_code == 422
    assert acme.memberships.get(role=Role.OWNER).user == alice


def test_whoever_may_not_sign_in_is_no_owner_to_be(as_, acme, alice, dave, to_dave):
    dave.is_active = False
    dave.save()
    client = as_(alice)
    assert dave.email not in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}offer/", to_dave).status_code == 422


def test_there_is_one_at_a_time_and_the_same_again_is_the_same(as_, acme, alice, bob, to_dave, delivered):
    client = as_(alice)
    for _ in range(2):
        assert client.post(f"{PAGE}offer/", to_dave).status_code == 302
    assert len(delivered()) == 1
    answer = client.post(f"{PAGE}offer/", {"to": bob.email.upper()})
    assert answer.status_code == 422
    assert OwnershipOffer.objects.count() == 1


@pytest.mark.parametrize(
    "to", ["mallory@example.test", "nobody@example.test", "alice@example.test", "x", "", "a@b.test\nBcc: x@y.test", "1\0"]
)  # fmt: skip
def test_only_to_members_who_are_no_owners(as_, acme, other, alice, to):
    answer = as_(alice).post(f"{PAGE}offer/", {"to": to})
    assert (answer.status_code, b'id="id_to_error"' in answer.content) in ((422, True), (400, False))
    assert not OwnershipOffer.objects.exists()


def test_of_many_members_some_are_shown_and_each_can_be_named(as_, acme, alice, person):
    for number in range(60):
        acme.add_member(person(f"m{number:02}@example.test"), Role.READER, by=None)
    client = as_(alice)
    page = client.get(PAGE).content.decode()
    assert page.count("<option value=") == 50
    assert "m59@example.test" not in page
    assert client.post(f"{PAGE}offer/", {"to": "m59@example.test"}).url == PAGE


def test_withdrawn_it_does_nothing(as_, acme, alice, dave, to_dave, delivered):
    client = as_(alice)
    client.post(f"{PAGE}offer/", to_dave)
    delivered()
    for _ in range(2):
        assert client.post(f"{PAGE}withdraw/").url == PAGE
    assert as_(dave).post(f"{PAGE}accept/").status_code == 409
    assert [message.to for message in delivered()] == [["dave@example.test"]]
    assert client.post(f"{PAGE}offer/", to_dave).status_code == 302


def test_declined_nothing_changes(as_, acme, alice, dave, to_dave, delivered):
    before = roles(acme)
    as_(alice).post(f"{PAGE}offer/", to_dave)
    delivered()
    assert as_(dave).post(f"{PAGE}decline/").status_code == 302
    assert as_(dave).post(f"{PAGE}accept/").status_code == 409
    assert roles(acme) == before
    (told,) = delivered()
    assert "declined" in told.body
    assert AuditEntry.objects.get(action="ownership.decline").by == dave


def test_after_its_days_it_is_over_and_another_can_be_made(acme, alice, dave, bob):
    offer = acme.offer_ownership(acme.memberships.get(user=dave), by=alice)
    OwnershipOffer.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(ValidationError, match="does not stand"):
        offer.accept(by=dave)
    assert acme.offer_ownership(acme.memberships.get(user=bob), by=alice).stands


def test_an_offer_of_who_is_no_owner_any_more_is_over(acme, alice, bob, dave):
    acme.memberships.get(user=bob).change_role(Role.OWNER, by=alice)
    offer = acme.offer_ownership(acme.memberships.get(user=dave), by=alice)
    acme.memberships.get(user=alice).change_role(Role.READER, by=bob)
    with pytest.raises(ValidationError, match="does not stand"):
        offer.accept(by=dave)
    assert acme.memberships.get(role=Role.OWNER).user == bob


@pytest.mark.parametrize("side", ["giver", "taker"])
def test_an_offer_of_or_to_who_may_not_sign_in_any_more_is_over(as_, acme, alice, bob, dave, side):
    acme.memberships.get(user=bob).change_role(Role.OWNER, by=alice)
    offer = acme.offer_ownership(acme.memberships.get(user=dave), by=alice)
    gone = alice if side == "giver" else dave
    gone.is_active = False  # by staff, who touch nothing else
    gone.save()
    offer = OwnershipOffer.objects.get(pk=offer.pk)
    assert not offer.stands
    with pytest.raises(ValidationError, match="does not stand"):
        offer.accept(by=dave)
    if side == "giver":
        assert as_(dave).post(f"{PAGE}accept/").status_code == 409
    assert set(acme.memberships.filter(role=Role.OWNER).values_list("user", flat=True)) == {alice.pk, bob.pk}
    assert as_(bob).post(f"{PAGE}withdraw/").url == PAGE


def test_under_suspension_nothing_changes_hands(as_, acme, alice, dave, sam):
    offer = acme.offer_ownership(acme.memberships.get(user=dave), by=alice)
    acme.suspend(reason="Spam was sent.", by=sam)
    offer = OwnershipOffer.objects.get(pk=offer.pk)
    with pytest.raises(ValidationError, match="Spam was sent"):
        offer.accept(by=dave)
    assert as_(dave).post(f"{PAGE}accept/").status_code == 403
    acme.lift_suspension(by=sam)
    assert OwnershipOffer.objects.get(pk=offer.pk).accept(by=dave)


def test_twice_is_harmless(acme, alice, dave):
    offer = acme.offer_ownership(acme.memberships.get(user=dave), by=alice)
    assert offer.accept(by=dave)
    assert not offer.accept(by=dave)
    assert AuditEntry.objects.filter(action="ownership.transfer").count() == 1


@pytest.mark.parametrize("verb", ["offer", "accept"])
def test_an_old_session_is_asked_again(as_, acme, alice, dave, to_dave, verb):
    if verb == "accept":
        acme.offer_ownership(acme.memberships.get(user=dave), by=alice)
    client = as_(dave if verb == "accept" else alice)
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] = time.time() - 16 * 60
    session.save()
    assert "/reauthenticate/" in client.post(f"{PAGE}{verb}/", to_dave).url
    assert acme.memberships.get(role=Role.OWNER).user == alice
