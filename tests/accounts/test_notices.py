"""A mail that is owed goes out after its cause, once things are well, whatever happened in between."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from accounts import notices
from accounts.models import Notice
from accounts.tasks import deliver_notice, sweep_notices
from foundation.unit_of_work import unit_of_work


@pytest.fixture
def kind(monkeypatch):
    sent_to = ["alice@example.test"]
    registered = dict(notices._kinds)
    monkeypatch.setattr(notices, "_kinds", registered)

    @notices.notice_kind("test.hello", template="tests/hello")
    def build(subject_id):
        return sent_to, {"number": subject_id}

    # A sweep's hint arrives at once.
    monkeypatch.setattr(deliver_notice, "apply_async", lambda args, expires: deliver_notice(*args))
    monkeypatch.setattr(notices, "render_to_string", lambda name, context: f"{name} {context['number']}")
    return sent_to


def owe() -> Notice:
    with unit_of_work():
        return notices.send_notice("test.hello", "42")


def test_it_is_sent_with_both_bodies_and_leaves_no_text_behind(db, kind):
    notice = owe()
    deliver_notice(notice.pk)
    (message,) = mail.outbox
    assert message.to == ["alice@example.test"]
    assert message.body == "tests/hello.txt 42"
    assert message.alternatives[0][0] == "tests/hello.html 42"
    notice.refresh_from_db()
    assert notice.sent_at
    assert {field.name for field in Notice._meta.fields} == {
        "id",
        "kind",
        "subject_id",
        "created_at",
        "attempts",
        "next_attempt_at",
        "sent_at",
    }


def test_what_is_attached_goes_along(db, kind):
    attached = ("a.pdf", b"%PDF-", "application/pdf")

    @notices.notice_kind("test.hello", template="tests/hello")
    def build(subject_id):
        return kind, {"number": subject_id, "attachments": [attached]}

    deliver_notice(owe().pk)
    (message,) = mail.outbox
    assert message.attachments == [attached]


def test_twice_is_harmless(db, kind):
    notice = owe()
    deliver_notice(notice.pk)
    deliver_notice(notice.pk)
    sweep_notices()
    assert len(mail.outbox) == 1


def test_recipients_share_one_message_so_that_none_gets_it_again_for_another_ones_failure(db, kind):
    kind.append("bob@example.test")
    notice = owe()
    deliver_notice(notice.pk)
    (message,) = mail.outbox
    assert message.to == ["alice@example.test", "bob@example.test"]


def test_nobody_to_tell_is_nothing_to_send(db, kind):
    kind.clear()
    notice = owe()
    deliver_notice(notice.pk)
    notice.refresh_from_db()
    assert notice.sent_at
    assert mail.outbox == []


def test_a_second_copy_carries_the_same_id(db, kind):
    notice = owe()
    deliver_notice(notice.pk)
    Notice.objects.update(sent_at=None, next_attempt_at=timezone.now())
    deliver_notice(notice.pk)
    first, second = (message.message()["Message-ID"] for message in mail.outbox)
    assert first == second


def test_a_lost_hint_is_found_by_the_sweep(db, kind):
    owe()
    sweep_notices()
    assert len(mail.outbox) == 1


def test_a_failure_is_tried_again_later(db, kind, monkeypatch):
    notice = owe()
    monkeypatch.setattr(
        notices, "_message", lambda *args: (_ for _ in ()).throw(OSError("connection refused"))
    )
    deliver_notice(notice.pk)
    notice.refresh_from_db()
    assert notice.sent_at is None
    assert notice.next_attempt_at > timezone.now() + timedelta(seconds=90)
    monkeypatch.undo()


def test_a_worker_that_died_after_claiming_delays_it_only(db, kind):
    notice = owe()
    Notice.objects.filter(pk=notice.pk).update(
        attempts=1, next_attempt_at=timezone.now() + timedelta(minutes=1)
    )
    sweep_notices()
    assert mail.outbox == []
    Notice.objects.filter(pk=notice.pk).update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    sweep_notices()
    assert len(mail.outbox) == 1


def test_an_unknown_kind_is_a_mistake_of_the_caller(db):
    with pytest.raises(LookupError), unit_of_work():
        notices.send_notice("no.such", "1")
