"""What was deleted is removed for good after its days, on a real agent; nothing else ever is."""

from datetime import timedelta
from unittest import mock
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from domains import purging
from domains.driver.agent import Agent, AgentError
from domains.models import Domain, Mailbox, ServerRow, ServerSync
from domains.tasks import sweep_purges
from tests.domains.conftest import HASH, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def purged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The homes that the server was told to purge; tests/domains/test_sync.py does it on a real one."""
    homes: list[str] = []
    monkeypatch.setattr(Agent, "purge", lambda self, home: homes.append(home.hex))
    return homes


def age(thing: Domain | Mailbox, days: float) -> None:
    type(thing).objects.filter(pk=thing.pk).update(deleted_at=timezone.now() - timedelta(days=days))


def test_a_mailbox_goes_after_its_days(anna, mx1, purged):
    anna.suspend(by=None)
    anna.delete(by=None)
    settle(mx1)
    sweep_purges()
    assert Mailbox.objects.exists()
    age(anna, 30.1)
    sweep_purges()
    assert purged == [anna.pk.hex]
    assert not Mailbox.objects.exists()
    assert not ServerRow.objects.filter(kind="state", gone=False).exists()
    assert ServerRow.objects.get(kind="mailbox").gone
    sweep_purges()
    assert len(purged) == 1


def test_never_before_the_server_knows_that_it_is_gone(anna, mx1, purged):
    settle(mx1)
    anna.delete(by=None)
    age(anna, 31)
    sweep_purges()
    assert not purged
    settle(mx1)
    sweep_purges()
    assert purged == [anna.pk.hex]


def test_a_domain_takes_its_mailboxes_along(domain, anna, mx1, purged):
    domain.delete(by=None)
    age(domain, 31)
    settle(mx1)
    sweep_purges()  # tells the server that the mailbox is gone, too
    assert not purged
    settle(mx1)
    sweep_purges()
    assert purged == [anna.pk.hex]
    assert not Domain.objects.exists()


def test_once_begun_it_cannot_be_restored(anna, domain, mx1, monkeypatch):
    settle(mx1)
    anna.delete(by=None)
    settle(mx1)
    age(anna, 31)
    monkeypatch.setattr(Agent, "purge", mock.Mock(side_effect=AgentError("away", retry=True)))
    sweep_purges()
    age(anna, 1)  # whatever its clock says then
    with pytest.raises(ValidationError):
        Mailbox.objects.get(pk=anna.pk).restore(by=None)


def test_restored_at_the_last_moment_stays(anna, mx1, purged):
    anna.delete(by=None)
    age(anna, 31)
    due = purging.due_mailboxes()
    Mailbox.objects.filter(pk=anna.pk).update(deleted_at=None)
    settle(mx1)
    assert [purging.purge_mailbox(mailbox) for mailbox in due] == [False]
    assert not purged


def test_a_server_that_fails_is_asked_once_a_sweep(anna, domain, mx1, monkeypatch):
    """Ten seconds for each of hundreds of mailboxes would hold up those of every other server."""
    ben = domain.add_mailbox("ben", password_hash=HASH, by=None)
    for mailbox in (anna, ben):
        mailbox.delete(by=None)
        age(mailbox, 31)
    settle(mx1)
    away = mock.Mock(side_effect=AgentError("away", retry=True))
    monkeypatch.setattr(Agent, "purge", away)
    sweep_purges()
    sweep_purges()
    assert [call.args for call in away.call_args_list] in ([(anna.pk,), (ben.pk,)], [(ben.pk,), (anna.pk,)])


def test_a_server_that_is_known_to_fail_is_not_asked(anna, mx1, purged):
    anna.delete(by=None)
    age(anna, 31)
    settle(mx1)
    ServerSync.objects.update(failed_at=timezone.now())
    sweep_purges()
    assert not purged
    ServerSync.objects.update(failed_at=None)
    sweep_purges()
    assert purged == [anna.pk.hex]


def test_a_refusal_for_one_does_not_stop_the_others(anna, domain, mx1, monkeypatch):
    ben = domain.add_mailbox("ben", password_hash=HASH, by=None)
    for mailbox in (anna, ben):
        mailbox.delete(by=None)
        age(mailbox, 31)
    settle(mx1)

    def purge(self: Agent, home: UUID) -> None:
        if home == anna.pk:
            raise AgentError("kept 30 days", retry=False)

    monkeypatch.setattr(Agent, "purge", purge)
    sweep_purges()
    assert list(Mailbox.objects.values_list("pk", flat=True)) == [anna.pk]


def test_a_refusal_is_told_once_and_respected_for_hours(anna, mx1, monkeypatch, caplog):
    """A server that heard later than the panel that a mailbox is gone counts its days from then."""
    anna.delete(by=None)
    age(anna, 31)
    settle(mx1)
    early = mock.Mock(side_effect=AgentError("kept 30 days", retry=False))
    monkeypatch.setattr(Agent, "purge", early)
    sweep_purges()
    sweep_purges()
    assert early.call_count == 1
    long_ago = timezone.now() - purging.ASKED_AGAIN_AFTER
    Mailbox.objects.update(purge_refused_at=long_ago)
    sweep_purges()
    assert early.call_count == 2
    assert caplog.text.count("is not purged") == 1


def test_what_no_server_was_told_of_is_not_asked_for(anna, served, mx1, monkeypatch):
    """Deleted before its customer was placed: the server knows no such home, and would refuse for ever."""
    anna.delete(by=None)
    ServerRow.objects.all().delete()
    age(anna, 31)
    monkeypatch.setattr(Agent, "purge", mock.Mock(side_effect=AgentError("not gone", retry=False)))
    sweep_purges()
    assert not Mailbox.objects.exists()
