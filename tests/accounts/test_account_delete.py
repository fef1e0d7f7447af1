"""A person deletes their account: told what goes and what stays, stoppable for seven days, then done by a sweep."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import timezone

from accounts import deleting, privacy
from accounts.models import AccountDeletion, AuditEntry, Customer, Role, User
from accounts.models.mailed_link import hash_of
from accounts.tasks import delete_account, sweep_account_deletions
from tests.accounts.conftest import link_in
from tests.conftest import PASSWORD

PAGE = "/accounts/data/delete/"
STOP = "/accounts/data/delete/stop/"
As = Callable[[User], Client]
Delivered = Callable[[], list[EmailMessage]]


@pytest.fixture(autouse=True)
def hints_arrive_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delete_account, "apply_async", lambda args, expires: delete_account(*args))


@pytest.fixture
def deletion(acme: Customer, bob: User) -> AccountDeletion:
    return deleting.ask_deletion(bob)


def seven_days_later() -> None:
    AccountDeletion.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    sweep_account_deletions()


def is_there(user: User) -> bool:
    return User.objects.get(pk=user.pk).is_active


def test_asked_for_by_the_typed_address_told_and_done_after_seven_days(
    as_: As, acme: Customer, bob: User, delivered: Delivered
) -> None:
    client = as_(bob)
    page = client.get(PAGE).content.decode()
    for line in (*privacy.erased(), *privacy.kept(bob)):
        assert line in page
    assert client.post(PAGE, {"confirm": "Bob@Example.test"})["Location"] == PAGE
    assert 'data-status="pending"' in client.get(PAGE).content.decode()
    (asked,) = delivered()
    assert (asked.to, asked.subject) == ([bob.email], "Your account will be deleted in 7 days")
    assert "kept for two years" in asked.body
    sweep_account_deletions()
    assert is_there(bob)
    seven_days_later()
    assert not is_there(bob)
    assert not acme.memberships.filter(user=bob).exists()
    (done,) = delivered()
    assert (done.to, done.subject) == (["bob@example.test"], "Your account is deleted")
    assert client.get("/accounts/home/").status_code == 302
    sweep_account_deletions()
    assert "bob@" not in str(list(AccountDeletion.objects.values()))


def test_the_delay_is_seven_days(deletion: AccountDeletion) -> None:
    assert deletion.due_at - deletion.at >= timedelta(days=7) - timedelta(seconds=5)
    assert not deleting.carry_out(str(deletion.pk))


@pytest.mark.parametrize(
    "typed", ["", "alice@example.test", "bob@example.test\r\nx", "bob\0@example.test", "x" * 5000]
)
def test_another_address_than_ones_own_deletes_nothing(
    as_: As, acme: Customer, bob: User, typed: str
) -> None:
    answer = as_(bob).post(PAGE, {"confirm": typed})
    assert answer.status_code in (400, 422)
    if answer.status_code == 422:
        assert 'id="id_confirm_error"' in answer.content.decode()
    assert not AccountDeletion.objects.exists()


def test_stopped_by_the_link_without_signing_in(
    deletion: AccountDeletion, bob: User, delivered: Delivered
) -> None:
    (message,) = delivered()
    path, client = link_in(message, "/accounts/data/deletions/"), Client()
    assert b'data-status="pending"' in client.get(path).content
    assert deleting.pending_deletion(bob)  # looking at it changes nothing: mail filters look too
    assert client.post(path)["Location"] == path
    assert b'data-status="stopped"' in client.get(path).content
    client.post(path)  # twice is harmless
    assert AuditEntry.objects.filter(action="account_deletion.stop").count() == 1
    seven_days_later()
    assert is_there(bob)
    (told,) = delivered()
    assert told.subject == "Your account stays"


def test_stopped_while_signed_in(as_: As, deletion: AccountDeletion, bob: User) -> None:
    client = as_(bob)
    assert STOP in client.get("/accounts/data/").content.decode()
    client.post(STOP)
    client.post(STOP)
    assert not deleting.pending_deletion(bob)
    seven_days_later()
    assert is_there(bob)


def test_nobody_stops_it_for_somebody_else(
    as_: As, deletion: AccountDeletion, bob: User, mallory: User
) -> None:
    as_(mallory).post(STOP)
    assert deleting.pending_deletion(bob)


def test_whoever_signs_in_meanwhile_is_told(deletion: AccountDeletion, bob: User) -> None:
    client = Client()
    client.post("/accounts/login/", {"login": bob.email, "password": PASSWORD})
    assert "Your account will be deleted on" in client.get("/accounts/data/").content.decode()


def test_the_last_owner_hands_over_first(as_: As, acme: Customer, alice: User, dave: User) -> None:
    client = as_(alice)
    page = client.get(PAGE).content.decode()
    assert "only owner of Acme Ltd" in page
    assert 'href="/c/acme/members/ownership/"' in page
    assert 'name="confirm"' not in page
    answer = client.post(PAGE, {"confirm": alice.email})
    assert answer.status_code == 422
    assert not AccountDeletion.objects.exists()
    acme.memberships.filter(user=dave).update(role=Role.OWNER)
    assert client.post(PAGE, {"confirm": alice.email}).status_code == 302


def test_an_owner_who_cannot_act_any_more_is_none(acme: Customer, alice: User, dave: User) -> None:
    acme.memberships.filter(user=dave).update(role=Role.OWNER)
    assert privacy.hindrances(alice) == []
    User.objects.filter(pk=dave.pk).update(is_active=False)
    assert privacy.hindrances(alice)


def test_what_has_ended_needs_no_owner(acme: Customer, alice: User) -> None:
    Customer.objects.update(ended_at=timezone.now())
    assert privacy.hindrances(alice) == []


def test_what_came_in_the_way_meanwhile_stops_it(acme: Customer, bob: User, delivered: Delivered) -> None:
    deleting.ask_deletion(bob)
    delivered()
    acme.memberships.filter(role=Role.OWNER).delete()
    acme.memberships.filter(user=bob).update(role=Role.OWNER)
    seven_days_later()
    assert is_there(bob)
    assert AccountDeletion.objects.get().status == "stopped"
    (told,) = delivered()
    assert "only owner of Acme Ltd" in told.body


def test_staff_are_no_staff_first(sam: User) -> None:
    (hindrance,) = privacy.hindrances(sam)
    assert "staff" in hindrance.text


def test_twice_is_harmless(deletion: AccountDeletion, bob: User) -> None:
    assert deleting.ask_deletion(bob) == deletion
    seven_days_later()
    assert not deleting.carry_out(str(deletion.pk))
    assert not deleting.stop_deletion(deletion)
    assert AuditEntry.objects.filter(action="person.erase").count() == 1


def test_a_worker_that_is_killed_leaves_the_account_whole(
    deletion: AccountDeletion, acme: Customer, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(deleting, "send_notice", lambda *args: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            seven_days_later()
    assert acme.memberships.filter(user=bob).exists()
    assert is_there(bob)
    sweep_account_deletions()
    assert not is_there(bob)


def test_the_others_see_who_left_as_a_pseudonym_and_offers_end(
    acme: Customer, dave: User, as_: As, alice: User
) -> None:
    offered = acme.invite_member("eve@example.test", Role.READER, by=dave)
    deleting.ask_deletion(dave)
    seven_days_later()
    left = AuditEntry.objects.get(action="member.leave")
    assert (left.customer, left.before) == (acme, {"role": "admin"})
    assert "dave" not in str(list(AuditEntry.objects.values("subject", "after", "before")))
    offered.refresh_from_db()
    assert offered.revoked_at
    assert as_(alice).get("/c/acme/audit/").status_code == 200


def test_its_link_stands_as_a_hash(deletion: AccountDeletion) -> None:
    (row,) = AccountDeletion.objects.values()
    assert deletion.secret not in str(row)
    assert row["secret_hash"] == hash_of(deletion.secret)


@pytest.mark.parametrize("secret", ["x", "a" * 64])
def test_a_forged_link_leads_nowhere(client: Client, deletion: AccountDeletion, secret: str) -> None:
    assert client.get(f"/accounts/data/deletions/{secret}/").status_code == 404
    assert client.post(f"/accounts/data/deletions/{secret}/").status_code == 404


def test_it_asks_again_who_one_is(as_: As, acme: Customer, bob: User) -> None:
    client = as_(bob)
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": 0}]
    session.save()
    for answer in (client.get(PAGE), client.post(PAGE, {"confirm": bob.email})):
        assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert not AccountDeletion.objects.exists()


def test_old_wishes_are_forgotten(deletion: AccountDeletion) -> None:
    seven_days_later()
    AccountDeletion.objects.update(due_at=timezone.now() - timedelta(days=91))
    sweep_account_deletions()
    assert not AccountDeletion.objects.exists()
