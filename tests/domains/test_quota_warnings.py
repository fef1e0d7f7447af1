"""Mailboxes and plans that are nearly full are told of, once for each threshold."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import notices
from accounts.models import Customer, Notice, Stop, SuspensionCause, User
from billing.models import Plan
from domains.driver import watching
from domains.models import Domain, Mailbox, MailServer
from domains.models.quota_warning import QuotaSummary, QuotaWarning, forget_old_warnings
from mailnode import wire
from tests.domains.conftest import HASH, make_server
from tests.plans import sell_as

pytestmark = pytest.mark.django_db

MB = 2**20


@pytest.fixture
def report(mx1: MailServer) -> Callable[..., None]:
    """As if the server told how full these mailboxes are, in percent of their quota."""

    def tell(*mailboxes: Mailbox, percent: int) -> None:
        entries = [
            wire.Usage(
                mailbox=each.pk.hex,
                bytes=-(-each.quota_mb * MB * percent // 100),
                messages=1,
                last_sign_in=None,
            )
            for each in mailboxes
        ]
        watching.take_usage(mx1, entries)

    return tell


@pytest.fixture
def small(anna: Mailbox) -> Plan:
    """The plan holds 1,024 MB, as much as anna's quota."""
    sell_as(anna.customer, storage_mb=1024)
    return Plan.objects.get(slug="plan-of-acme")


def sent() -> list[EmailMessage]:
    """What is mailed once all that is owed now is due."""
    Notice.objects.filter(sent_at=None).update(next_attempt_at=timezone.now())
    before = len(mail.outbox)
    for notice in notices.unsent():
        notices.deliver(notice)
    return mail.outbox[before:]


def warned() -> list[tuple[str, int]]:
    """Who is warned of now, and over which threshold."""
    return sorted(
        (str(each.mailbox or "plan"), each.percent) for each in QuotaWarning.objects.filter(ended_at=None)
    )


def days_pass(days: int = 2) -> None:
    QuotaWarning.objects.update(at=timezone.now() - timedelta(days=days))
    QuotaSummary.objects.update(due_at=timezone.now() - timedelta(days=days))


def test_a_mailbox_is_told_by_a_mail_into_itself(anna: Mailbox, report: Any) -> None:
    report(anna, percent=79)
    assert sent() == []
    report(anna, percent=80)
    (message,) = sent()
    assert message.to == ["anna@acme.test"]
    assert message.subject == "anna@acme.test is 80 % full"
    assert "819" in message.body  # of 1,024 MB
    assert "1.0\xa0GB" in message.body


def test_at_95_percent_those_who_look_after_it_are_told_too(anna: Mailbox, report: Any) -> None:
    report(anna, percent=80)
    sent()
    report(anna, percent=95)
    into_it, summary = sorted(sent(), key=lambda message: len(message.to))
    assert into_it.to == ["anna@acme.test"]
    assert summary.to == ["alice@example.test", "dave@example.test"]  # owner and admin
    assert summary.subject == "Mailboxes of acme are nearly full"
    assert "anna@acme.test: 95 %" in summary.body
    assert "/c/acme/domains/acme.test/mailboxes/anna/" in summary.body


def test_once_for_each_threshold(anna: Mailbox, report: Any) -> None:
    for percent in (80, 81, 90, 80, 94):
        report(anna, percent=percent)
    assert len(sent()) == 1
    for percent in (95, 97, 93, 96):
        report(anna, percent=percent)
    assert len(sent()) == 2
    assert warned() == [("anna@acme.test", 80), ("anna@acme.test", 95)]


def test_a_leap_over_both_is_one_mail(anna: Mailbox, report: Any) -> None:
    report(anna, percent=96)
    assert sorted(len(message.to) for message in sent()) == [1, 2]
    assert warned() == [("anna@acme.test", 80), ("anna@acme.test", 95)]


def test_again_only_after_it_fell_clearly_below(anna: Mailbox, report: Any) -> None:
    report(anna, percent=80)
    sent()
    days_pass()
    for percent in (75, 82):  # 75 is not below 75
        report(anna, percent=percent)
    assert sent() == []
    report(anna, percent=74)
    assert warned() == []
    report(anna, percent=80)
    assert len(sent()) == 1


def test_not_twice_a_day_however_it_swings(anna: Mailbox, report: Any) -> None:
    """As a server that lies, or a program that fetches and deletes, would have it."""
    for _ in range(10):
        report(anna, percent=96)
        report(anna, percent=1)
    assert len(QuotaWarning.objects.all()) == 2
    assert QuotaSummary.objects.count() == 1


def test_what_is_well_again_before_its_mail_goes_is_not_told(anna: Mailbox, report: Any) -> None:
    report(anna, percent=96)
    report(anna, percent=10)
    assert sent() == []


def test_a_larger_quota_ends_it(anna: Mailbox, report: Any) -> None:
    report(anna, percent=80)
    anna.change(name="Anna", quota_mb=4096, by=None)
    report(Mailbox.objects.get(pk=anna.pk), percent=21)
    assert warned() == []
    anna.change(name="Anna", quota_mb=0, by=None)
    QuotaWarning.objects.update(ended_at=None)
    report(anna, percent=90)  # of its former quota
    assert warned() == []


def test_one_that_takes_no_mail_is_told_to_those_who_look_after_it(
    anna: Mailbox, domain: Domain, report: Any
) -> None:
    ben = domain.add_mailbox("ben", quota_mb=100, password_hash=HASH, by=None)
    ben.suspend(reason="Left", stops=[Stop.RECEIVE], by=None)
    report(anna, percent=100)
    report(ben, percent=80)
    (summary,) = sent()
    assert len(summary.to) == 2
    assert "anna@acme.test: 100 %" in summary.body
    assert "ben@acme.test: 80 %" in summary.body


@pytest.mark.parametrize("cause", SuspensionCause)
def test_where_the_customer_takes_no_mail_nobody_is_told_by_mail_into_a_mailbox(
    anna: Mailbox, acme: Customer, report: Any, cause: SuspensionCause
) -> None:
    acme.suspend(reason="r", stops=[Stop.RECEIVE], by=None, cause=cause)
    report(anna, percent=80)
    (summary,) = sent()
    assert len(summary.to) == 2
    assert "anna@acme.test: 80 %" in summary.body


def test_the_plan_is_told_to_owner_and_admin(anna: Mailbox, small: Plan, report: Any) -> None:
    report(anna, percent=79)
    assert warned() == []
    report(anna, percent=82)
    summary = max(sent(), key=lambda message: len(message.to))
    assert summary.to == ["alice@example.test", "dave@example.test"]
    assert summary.subject == "The storage of acme is 82 % full"
    assert "/contact/" in summary.body
    assert "anna@" not in summary.body  # below its last threshold; told itself
    assert warned() == [("anna@acme.test", 80), ("plan", 80)]


def test_one_mail_an_hour_for_a_customer(domain: Domain, small: Plan, report: Any) -> None:
    made = [domain.add_mailbox(f"m{n}", quota_mb=100, password_hash=HASH, by=None) for n in range(4)]
    for each in made[:2]:
        report(each, percent=96)
    (first,) = QuotaSummary.objects.all()
    assert timezone.now() < first.due_at <= timezone.now() + timedelta(minutes=1)
    summaries = [message for message in sent() if len(message.to) == 2]
    assert len(summaries) == 1
    assert all(f"m{n}@acme.test" in summaries[0].body for n in range(2))
    QuotaSummary.objects.update(due_at=timezone.now())
    for each in made[2:]:
        report(each, percent=96)
    second = QuotaSummary.objects.latest("due_at")
    assert QuotaSummary.objects.count() == 2
    assert timedelta(minutes=59) < second.due_at - timezone.now() <= timedelta(hours=1)
    assert Notice.objects.get(kind="quota.summary", sent_at=None).next_attempt_at == second.due_at
    (summary,) = [message for message in sent() if len(message.to) == 2]
    assert "m0@acme.test" not in summary.body
    assert all(f"m{n}@acme.test" in summary.body for n in (2, 3))


def test_unlimited_and_deleted_ones_have_no_threshold(anna: Mailbox, domain: Domain, mx1: MailServer) -> None:
    free = domain.add_mailbox("free", quota_mb=0, password_hash=HASH, by=None)
    anna.delete(by=None)
    entries = [
        wire.Usage(mailbox=each.pk.hex, bytes=2**40, messages=1, last_sign_in=None) for each in (free, anna)
    ]
    sell_as(anna.customer, storage_mb=2**30)
    watching.take_usage(mx1, entries)
    assert warned() == []


def test_another_server_warns_nobody(anna: Mailbox) -> None:
    watching.take_usage(
        make_server("mx2.mxpanel.test"),
        [wire.Usage(mailbox=anna.pk.hex, bytes=2**40, messages=1, last_sign_in=None)],
    )
    assert warned() == []


def test_what_nobody_can_hold_is_taken_all_the_same(anna: Mailbox, small: Plan, mx1: MailServer) -> None:
    entries = [wire.Usage(mailbox=anna.pk.hex, bytes=2**63 - 1, messages=1, last_sign_in=None)]
    watching.take_usage(mx1, entries)
    (summary,) = sent()
    assert "acme is" in summary.subject


def test_the_warning_and_the_use_are_one_transaction(
    anna: Mailbox, report: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(watching, "note_use", lambda uses: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            report(anna, percent=96)
    anna.refresh_from_db()
    assert anna.used_bytes == 0


def test_queries_do_not_grow(domain: Domain, report: Any) -> None:
    made = [domain.add_mailbox(f"m{n}", quota_mb=10, password_hash=HASH, by=None) for n in range(30)]
    counts = []
    for some in (made[:2], made[2:]):
        with CaptureQueriesContext(connection) as queries:
            report(*some, percent=96)
        counts.append(len(queries))
    assert counts[1] <= counts[0] <= 25


def test_a_full_one_that_is_purged_takes_its_warnings_along(anna: Mailbox, report: Any) -> None:
    report(anna, percent=96)
    Mailbox.objects.filter(pk=anna.pk).delete()
    assert not QuotaWarning.objects.exists()
    assert sent() == []


def test_old_ones_are_forgotten(anna: Mailbox, acme: Customer, report: Any) -> None:
    report(anna, percent=96)
    report(anna, percent=1)
    forget_old_warnings()
    assert QuotaWarning.objects.count() == 2
    QuotaWarning.objects.update(ended_at=timezone.now() - timedelta(days=91))
    QuotaSummary.objects.update(due_at=timezone.now() - timedelta(days=91))
    forget_old_warnings()
    assert not QuotaWarning.objects.exists()
    assert not QuotaSummary.objects.exists()


def test_the_plans_use_stands_on_home_and_list(
    as_: Any, alice: User, bob: User, anna: Mailbox, small: Plan, report: Any
) -> None:
    for percent, warns in ((50, False), (85, True)):
        report(anna, percent=percent)
        for path in ("/c/acme/", "/c/acme/domains/acme.test/mailboxes/"):
            for person in (alice, bob):
                page = as_(person).get(path).content.decode()
                assert f'value="{-(-1024 * MB * percent // 100)}"' in page
                assert ("The plan is nearly full" in page) == warns, path
    report(anna, percent=100)
    assert "The plan is full" in as_(alice).get("/c/acme/").content.decode()


def test_without_a_running_service_there_is_nothing_to_show(as_: Any, alice: User, acme: Customer) -> None:
    page = as_(alice).get("/c/acme/").content.decode()
    assert "Storage comes with the plan" in page
