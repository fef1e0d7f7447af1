"""What mail servers report of sending, and the mail that a limit is nearly reached."""

import time
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import Notice
from accounts.notices import deliver
from domains.driver import watching
from domains.driver.rows import SENDS_SINCE
from domains.models import CustomerSending, Mailbox, ServerSync
from domains.sending import limits_of, take_sent, tell_again
from mailnode import wire
from tests.domains.conftest import HASH, fresh, revision_of

PAGE = "/c/acme/domains/acme.test/mailboxes/anna/"


def sent(thing, day, hour=0, kind="mailbox", **more):
    soon = int(time.time()) + 600
    times = {"hour_rolls_at": soon if hour else None, "day_rolls_at": soon if day else None} | more
    return wire.Sent(subject_kind=kind, subject=thing.pk.hex, hour=hour, day=day, **times)


def test_works(as_, alice, anna, mx1):
    assert take_sent(mx1, [sent(anna, 37, 5), sent(anna.customer, 37, 5, kind="customer")]) == set()
    anna.refresh_from_db()
    assert (anna.sent, anna.sent_this_hour) == (37, 5)
    page = as_(alice).get(PAGE).content.decode()
    assert 'data-sent="37"' in page
    assert "9,563 left." in page
    assert "The oldest fall out of the count at" in page
    assert CustomerSending.objects.get().sent == 37
    assert "37" in as_(alice).get("/c/acme/").content.decode()
    take_sent(mx1, [sent(anna, 0), sent(anna.customer, 0, kind="customer")])
    anna.refresh_from_db()
    assert (anna.sent, CustomerSending.objects.get().sent) == (0, 0)


def test_only_of_its_own_customers(anna, mx1, mallory, other):
    before = timezone.now()
    theirs = Mailbox(domain=anna.domain)
    assert take_sent(mx1, [sent(theirs, 1), sent(other, 9, kind="customer"), sent(anna, 1)]) == {theirs.pk}
    assert not CustomerSending.objects.filter(customer=other).exists()
    anna.refresh_from_db()
    assert anna.sent_reported_at > before


@pytest.mark.parametrize("when", [0, 1, 2**53, 253_402_300_800])
def test_hostile_numbers(as_, alice, anna, mx1, when):
    times = {"hour_rolls_at": when, "day_rolls_at": when}
    take_sent(mx1, [sent(anna, 2**53, 2**53, **times)])
    assert as_(alice).get(PAGE).status_code == 200
    anna.refresh_from_db()
    assert (anna.sent, anna.day_rolls_at) == (2**31 - 1, None)


def test_what_was_reported_long_ago_is_over(anna, mx1):
    take_sent(mx1, [sent(anna, 37, 5)])
    ago = timezone.now() - timedelta(days=2)
    Mailbox.objects.update(sent_reported_at=ago, hour_rolls_at=ago, day_rolls_at=ago)
    anna.refresh_from_db()
    assert (anna.sent, anna.sent_this_hour) == (0, 0)


def told():
    return Notice.objects.filter(kind="mailbox-sends")


@pytest.mark.parametrize(("day", "hour", "tells"), [(79, 79, False), (80, 1, True), (100, 100, True)])
def test_a_mail_at_eighty_per_cent(anna, mx1, alice, day, hour, tells):
    anna.limit_sends(100, by=None)
    take_sent(mx1, [sent(anna, day, hour)])
    assert told().count() == tells
    if tells:
        deliver(told().get().pk)
        message = mail.outbox[-1]
        assert message.to == [alice.email, "dave@example.test"]  # an admin
        assert message.subject == "anna@acme.test has nearly reached its send limit"
        assert f"{day} of 100 recipients" in message.body
        assert PAGE in message.body


def test_also_of_the_hour(anna, mx1):
    take_sent(mx1, [sent(anna, 320, 320)])
    assert told().count() == 1


def test_one_a_day(anna, mx1):
    anna.limit_sends(100, by=None)
    for day in (90, 95, 100):
        take_sent(mx1, [sent(anna, day)])
    assert told().count() == 1
    Mailbox.objects.update(send_warned_at=timezone.now() - timedelta(days=1, minutes=1))
    take_sent(mx1, [sent(anna, 99)])
    assert told().count() == 2


def test_nobody_is_told_of_a_deleted_mailbox_or_a_limit_of_nothing(anna, mx1):
    anna.limit_sends(0, by=None)
    take_sent(mx1, [sent(anna, 90)])
    anna.limit_sends(10, by=None)
    anna.delete(by=None)
    take_sent(mx1, [sent(anna, 10)])
    assert told().count() == 0


def test_the_same_limits_for_one_and_for_many(anna, domain):
    ben = domain.add_mailbox("ben", password_hash=HASH, by=None)
    ben.limit_sends(7, by=None)
    anna.raise_sends(20_000, until=timezone.now() + timedelta(days=1), reason="x", by=None)
    assert (
        limits_of([anna, ben])
        == {anna.pk: anna.send_limit, ben.pk: ben.send_limit}
        == {anna.pk: 20_000, ben.pk: 7}
    )


def test_queries_do_not_grow(domain, mx1, django_assert_max_num_queries):
    boxes = [domain.add_mailbox(f"u{number}", password_hash=HASH, by=None) for number in range(12)]
    with django_assert_max_num_queries(8):
        take_sent(mx1, [sent(box, 5) for box in boxes])


def test_a_newer_mailnode_is_told_what_the_older_one_did_not_know(anna, domain, mx1):
    ben = domain.add_mailbox("ben", password_hash=HASH, by=None)
    anna.limit_sends(7, by=None)
    before = revision_of(anna), revision_of(ben)
    tell_again(mx1)
    assert SENDS_SINCE == 4
    assert revision_of(anna) > before[0]
    assert revision_of(ben) == before[1]


def test_killed_while_it_is_told(anna, mx1, monkeypatch):
    """Once the newer version is stored nobody asks again, so all of it is stored or nothing."""
    status = wire.Status(
        wire=4, wires=[1, 4], version="1", name=mx1.name, revision=0, mark="", effective=0, services=[],
        disk=wire.Disk(total=1, free=1), queue=0, certificate_not_after=0, rows={}, lag_error=None, time=0,
    )  # fmt: skip
    monkeypatch.setattr(watching.Agent, "status", lambda _: status)
    ServerSync.objects.filter(server=mx1).update(wire=3)
    anna.limit_sends(7, by=None)
    before, tells = revision_of(anna), watching.tell_again

    def killed(server):
        tells(server)
        raise KeyboardInterrupt

    def killed_before(*_, **__):
        raise KeyboardInterrupt

    for name, dies in (("tell_again", killed), ("note", killed_before)):
        with monkeypatch.context() as patch:
            patch.setattr(watching, name, dies)
            with pytest.raises(KeyboardInterrupt):
                watching.pull_status(fresh(mx1))
        assert (ServerSync.objects.get(server=mx1).wire, revision_of(anna)) == (3, before)
    watching.pull_status(fresh(mx1))
    assert ServerSync.objects.get(server=mx1).wire == 4
    assert revision_of(anna) > before
    told = revision_of(anna)
    watching.pull_status(fresh(mx1))
    assert revision_of(anna) == told
