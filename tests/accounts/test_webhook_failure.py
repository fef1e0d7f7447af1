"""What a receiver that fails, or that people change meanwhile, is told and what becomes of it."""

import gzip
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.utils import timezone

from accounts.models import Attempt, AuditEntry, Delivery, Webhook, WebhookEvent
from accounts.webhooks import sending
from foundation import outbound
from tests.accounts.conftest import happens, later, past, webhook_now
from tests.webhook_target import dawdle

pytestmark = pytest.mark.django_db


class TestFailure:
    @pytest.mark.parametrize("status", [301, 302, 400, 404, 429, 500, 503])
    def test_it_comes_again_with_growing_gaps_and_the_same_id(self, acme, webhook, target, status):
        target.answer, target.headers = lambda path: (status, b"no\x00t now"), {"Location": target.url + "2"}
        happens(acme)
        for gap in (timedelta(seconds=seconds) for seconds in sending.GAPS[:3]):
            before = timezone.now()
            assert sending.call(str(webhook.pk)) is False
            delivery = webhook.deliveries.get()
            assert before + gap <= delivery.next_at <= timezone.now() + gap
            past(webhook)
        assert [call[0]["webhook-id"] for call in target.calls] == [delivery.event.message_id] * 3
        assert {body for _, body in target.calls} == {target.calls[0][1]}
        assert (delivery.calls.first().status, delivery.calls.first().reply) == (status, "no�t now")
        assert webhook_now(webhook).status == "failing"

        target.answer = lambda path: (200, b"")
        sending.call(str(webhook.pk))
        assert (webhook_now(webhook).status, webhook.deliveries.get().status) == ("active", "delivered")

    def test_of_a_long_reply_the_first_kilobyte_is_kept(self, acme, webhook, target):
        target.answer = lambda path: (200, b"x" * 5_000_000)
        happens(acme)
        sending.call(str(webhook.pk))
        assert webhook.deliveries.get().status == "delivered"
        assert Attempt.objects.get().reply == "x" * 1024

    def test_an_answer_after_the_deadline_is_none(self, acme, webhook, target, monkeypatch):
        monkeypatch.setattr(sending, "DEADLINE", 0.3)
        target.answer = dawdle(2)
        happens(acme)
        sending.call(str(webhook.pk))
        call = Attempt.objects.get()
        assert (call.status, call.failure) == (None, "No complete answer within 0.3 s.")
        assert call.milliseconds < 1500

    def test_nobody_there(self, acme, webhook, target, settings):
        Webhook.objects.update(url="http://127.0.0.1:9/hook")
        settings.WEBHOOK_TEST_TARGETS = ["127.0.0.1:9"]
        happens(acme)
        sending.call(str(webhook.pk))
        assert Attempt.objects.get().failure == "No connection could be made, or it broke."

    @pytest.mark.parametrize("location", ["http://[", "/\xff\xfe", "//", "http://127.0.0.1:1/x"])
    def test_where_else_an_answer_leads_is_of_no_interest(self, acme, webhook, target, location):
        target.answer = lambda path: (302, b"")
        target.headers = {"Location": location}
        happens(acme)
        sending.call(str(webhook.pk))
        assert Attempt.objects.get().status == 302
        assert webhook.deliveries.get().attempts == 1

    @pytest.mark.parametrize("status", [200, 302])
    def test_of_a_packed_answer_no_more_is_unpacked_than_is_kept(self, acme, webhook, target, status):
        bomb = gzip.compress(b"x" * 200_000_000)
        target.answer = lambda path: (status, bomb)
        target.headers = {"Content-Encoding": "gzip", "Location": "/elsewhere"}
        happens(acme)
        tracemalloc.start()
        sending.call(str(webhook.pk))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()
        assert Attempt.objects.get().reply == "x" * 1024

    def test_an_answer_of_200_that_never_ends_is_taken(self, acme, webhook, target, monkeypatch):
        monkeypatch.setattr(sending, "DEADLINE", 1.0)
        target.answer, target.headers = lambda path: (200, b"so far"), {"X-Unfinished": "yes"}
        happens(acme)
        sending.call(str(webhook.pk))
        assert webhook.deliveries.get().status == "delivered"

    def test_whatever_goes_wrong_is_a_call(self, acme, webhook, monkeypatch):
        monkeypatch.setattr(sending, "fetch", lambda *args, **options: 1 / 0)
        happens(acme)
        sending.call(str(webhook.pk))
        assert Attempt.objects.get().failure == "Its answer was not understood."

    def test_a_url_that_is_allowed_no_more_is_not_called(self, acme, webhook, target, settings):
        Webhook.objects.update(url="http://hooks.example.com/")
        happens(acme)
        sending.call(str(webhook.pk))
        assert "https://" in Attempt.objects.get().failure

    def test_what_is_not_public_is_not_called(self, acme, webhook, target, settings, monkeypatch):
        settings.WEBHOOK_TEST_TARGETS = []
        Webhook.objects.update(url="https://localhost.localdomain/")
        monkeypatch.setattr(outbound, "_addresses", lambda *facts: ["10.0.0.7", "::1", "127.0.0.1"])
        happens(acme)
        sending.call(str(webhook.pk))
        assert Attempt.objects.get().failure == "Its name leads to no public address."
        assert not target.calls

    def test_a_later_event_overtakes_one_that_fails(self, acme, webhook, target):
        target.answer = lambda path: (500, b"")
        happens(acme)
        sending.call(str(webhook.pk))
        target.answer = lambda path: (200, b"")
        happens(acme, "mailbox.delete")
        assert sending.webhooks_owed() == []  # it rests
        Webhook.objects.update(rests_until=timezone.now())
        sending.call(str(webhook.pk))
        assert [delivery.status for delivery in webhook.deliveries.all()] == ["delivered", "waiting"]

    def test_after_three_days_it_is_switched_off_and_the_owners_are_told(
        self, acme, alice, webhook, target, delivered
    ):
        target.answer = lambda path: (500, b"broken")
        happens(acme)
        sending.call(str(webhook.pk))
        since = timezone.now() - timedelta(days=3)
        Webhook.objects.update(failing_since=since, failures=sending.MANY - 1)
        WebhookEvent.objects.update(at=timezone.now() - timedelta(days=3))
        past(webhook)
        sending.call(str(webhook.pk))

        assert webhook_now(webhook).status == "off"
        assert webhook.deliveries.get().status == "given_up"
        assert AuditEntry.objects.get(action="webhook.switch_off").by is None
        (message,) = told(delivered())
        assert message.to == [alice.email]
        assert str(webhook) in message.body
        assert target.url not in message.body
        past(webhook)
        assert sending.webhooks_owed() == []

    def test_three_days_without_many_failures_switch_nothing_off(self, acme, webhook, target):
        target.answer = lambda path: (500, b"")
        happens(acme)
        sending.call(str(webhook.pk))
        Webhook.objects.update(failing_since=timezone.now() - timedelta(days=4))
        past(webhook)
        sending.call(str(webhook.pk))
        assert webhook_now(webhook).status == "failing"

    def test_an_old_event_that_is_sent_again_in_vain_is_no_failure_of_days(self, acme, webhook, target):
        happens(acme)
        sending.call(str(webhook.pk))
        WebhookEvent.objects.update(at=timezone.now() - timedelta(days=9))
        target.answer = lambda path: (500, b"")
        webhook.deliveries.get().send_again()
        sending.call(str(webhook.pk))
        assert (webhook_now(webhook).status, webhook.deliveries.get().status) == ("active", "delivered")

    def test_switched_on_again_it_gets_what_is_not_older_than_three_days(self, acme, alice, webhook, target):
        target.answer = lambda path: (410, b"")
        happens(acme)
        WebhookEvent.objects.update(at=timezone.now() - timedelta(days=3))
        happens(acme, "mailbox.change")
        sending.call(str(webhook.pk))
        target.answer = lambda path: (200, b"")
        webhook.switch_on(by=alice)
        past(webhook)
        sending.call(str(webhook.pk))
        assert [delivery.status for delivery in webhook.deliveries.all()] == ["delivered", "given_up"]

    def test_gone_switches_it_off_at_once(self, acme, webhook, target, delivered):
        target.answer = lambda path: (410, b"")
        happens(acme)
        sending.call(str(webhook.pk))
        assert webhook_now(webhook).off_because == "It answered 410 Gone."
        assert len(told(delivered())) == 1


class TestMeanwhile:
    """What people do while a worker calls."""

    @pytest.fixture
    def meanwhile(self, monkeypatch):
        """Has this done after the answer of the first call, and before it is noted."""

        def do(act: Callable[[], object]) -> None:
            def fetch(*args: Any, **options: Any) -> outbound.Reply:
                monkeypatch.setattr(sending, "fetch", outbound.fetch)
                reply = outbound.fetch(*args, **options)
                act()
                return reply

            monkeypatch.setattr(sending, "fetch", fetch)

        return do

    def test_another_url_gets_what_the_former_one_was_just_told(
        self, acme, alice, webhook, target, meanwhile
    ):
        target.answer = lambda path: (410 if path == "/hook" else 200, b"")
        meanwhile(lambda: webhook_now(webhook).change(target.url + "/new", webhook.groups, by=alice))
        happens(acme)
        sending.call(str(webhook.pk))
        assert webhook_now(webhook).status == "active"
        sending.call(str(webhook.pk))
        assert webhook.deliveries.get().status == "delivered"
        assert [call.status for call in Attempt.objects.all()] == [200, 410]

    def test_it_is_removed(self, acme, alice, webhook, target, meanwhile):
        meanwhile(lambda: webhook_now(webhook).remove(by=alice))
        happens(acme)
        happens(acme, "mailbox.change")
        assert sending.call(str(webhook.pk)) is False
        assert len(target.calls) == 1
        assert not any(kind.objects.exists() for kind in (Webhook, Delivery, Attempt))

    def test_it_is_switched_off(self, acme, alice, webhook, target, meanwhile):
        meanwhile(lambda: webhook_now(webhook).switch_off(by=alice))
        happens(acme)
        happens(acme, "mailbox.change")
        sending.call(str(webhook.pk))
        assert len(target.calls) == 1
        assert [delivery.status for delivery in webhook.deliveries.all()] == ["waiting", "delivered"]

    def test_a_lease_that_ran_out_is_no_more_given_back(self, acme, webhook, target, meanwhile):
        taken_over = later()
        meanwhile(lambda: Webhook.objects.update(busy_until=taken_over))
        happens(acme)
        happens(acme, "mailbox.change")
        sending.call(str(webhook.pk))
        assert len(target.calls) == 1
        assert webhook_now(webhook).busy_until == taken_over


def told(messages: list[EmailMessage]) -> list[EmailMessage]:
    return [message for message in messages if "webhook" in message.subject.lower()]
