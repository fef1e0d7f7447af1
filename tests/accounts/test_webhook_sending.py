"""What happened reaches the customer's webhooks, signed, at least once, in the numbers of its object."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.utils import timezone
from standardwebhooks import Webhook as Receiver
from standardwebhooks import WebhookVerificationError

from accounts import audit, tasks
from accounts.models import Attempt, AuditEntry, Delivery, Webhook, WebhookEvent
from accounts.models.delivery import forget_old_events
from accounts.models.webhook import add_webhook
from accounts.webhooks import events, sending
from foundation import outbound
from foundation.unit_of_work import unit_of_work
from tests.accounts.conftest import happens
from tests.webhook_target import dawdle

pytestmark = pytest.mark.django_db


def past(webhook: Webhook) -> None:
    """As if all its gaps were over."""
    webhook.deliveries.filter(ended_at=None).update(next_at=timezone.now())
    Webhook.objects.filter(pk=webhook.pk).update(rests_until=timezone.now())


class TestTell:
    def test_works(self, acme, webhook, target):
        happens(acme, quota_mb=512, name="Anna Bell", reason="a text")

        assert sending.webhooks_owed() == [webhook.pk]
        assert sending.call(str(webhook.pk)) is False
        (event,) = target.events(webhook.secret)
        assert event["type"] == "mailbox.add"
        assert event["data"] == {
            "customer": "acme", "object": "mailbox", "id": "anna@acme.test", "sequence": 1,
            "facts": {"quota_mb": 512},
        }  # fmt: skip
        delivery = webhook.deliveries.get()
        assert (delivery.status, delivery.attempts) == ("delivered", 1)
        assert (delivery.calls.get().status, delivery.calls.get().failure) == (204, "")
        assert sending.webhooks_owed() == []

    def test_other_groups_and_other_customers_are_not_told(self, acme, other, webhook, target):
        happens(acme, "domain.add", "acme.test")
        happens(acme, "member.add", "bob@example.test")
        happens(other)
        assert not Delivery.objects.exists()
        assert not WebhookEvent.objects.exists()

    def test_nobody_is_told_of_what_was_rolled_back(self, acme, webhook):
        def fails() -> None:
            with unit_of_work():
                audit.record("mailbox.add", by=None, customer=acme, subject="x@acme.test")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fails()
        assert not Delivery.objects.exists()

    def test_it_costs_one_statement(self, acme, other, webhook, django_assert_num_queries):
        for customer in (acme, other):
            with unit_of_work(), django_assert_num_queries(1):
                events.tell(customer, "mailbox.add", "anna@acme.test")

    def test_events_of_an_object_are_numbered_also_while_the_webhook_is_off(
        self, acme, alice, webhook, target
    ):
        happens(acme)
        happens(acme, subject="ben@acme.test")
        webhook.switch_off(by=alice)
        happens(acme, "mailbox.change")
        webhook.switch_on(by=alice)
        happens(acme, "mailbox.delete")

        sending.call(str(webhook.pk))
        found = [
            (event["type"], event["data"]["id"], event["data"]["sequence"])
            for event in target.events(webhook.secret)
        ]
        assert found == [
            ("mailbox.add", "anna@acme.test", 1), ("mailbox.add", "ben@acme.test", 1),
            ("mailbox.delete", "anna@acme.test", 3),
        ]  # fmt: skip

    def test_every_kind_of_the_audit_trail_exists_and_no_fact_is_a_text(self):
        from accounts.audit_words import ACTS, Shown

        own = {events.DNS, events.SENDING_NEAR, events.STORAGE_NEAR, events.PLAN_NEAR}
        assert set(events.GROUP_OF) - own <= set(ACTS)
        assert all(ACTS[kind].shown is not Shown.NOTHING for kind in set(events.GROUP_OF) - own)
        assert not {"reason", "text", "name", "reference", "by"} & events.FACTS

    def test_the_hint_is_given_after_the_commit(
        self, acme, webhook, target, django_capture_on_commit_callbacks, monkeypatch
    ):
        asked: list[tuple[str, ...]] = []
        monkeypatch.setattr(tasks.call_webhook, "apply_async", lambda args, kwargs: asked.append(args))
        with django_capture_on_commit_callbacks(execute=True), unit_of_work():
            for number in range(3):
                audit.record("mailbox.add", by=None, customer=acme, subject=f"box-{number}@acme.test")
            assert not asked
        assert asked == [(str(webhook.pk),)]


class TestSignature:
    def test_the_former_secret_signs_for_a_day(self, acme, alice, webhook, target):
        former = webhook.secret
        assert webhook.rotate(by=alice) != former
        happens(acme)
        sending.call(str(webhook.pk))
        assert target.events(former) == target.events(webhook.secret) != []

        Webhook.objects.update(former_until=timezone.now())
        target.calls.clear()
        happens(acme)
        sending.call(str(webhook.pk))
        assert target.events(webhook.secret)
        with pytest.raises(WebhookVerificationError):
            target.events(former)

    def test_neither_secret_is_stored_in_clear(self, alice, webhook):
        from django.db import connection

        webhook.rotate(by=alice)
        with connection.cursor() as cursor:
            cursor.execute("SELECT secret, former_secret FROM accounts_webhook")
            assert not any("whsec_" in stored for stored in cursor.fetchone())
        assert not any(
            "whsec_" in json.dumps([entry.before, entry.after]) for entry in AuditEntry.objects.all()
        )

    def test_another_body_does_not_fit(self, acme, webhook, target):
        happens(acme)
        sending.call(str(webhook.pk))
        headers, body = target.calls[0]
        with pytest.raises(WebhookVerificationError):
            Receiver(webhook.secret).verify(body.replace(b"anna", b"hans"), headers)


class TestFailure:
    @pytest.mark.parametrize("status", [301, 302, 400, 404, 429, 500, 503])
    def test_it_comes_again_with_growing_gaps_and_the_same_id(self, acme, webhook, target, status):
        target.answer, target.headers = lambda path: (status, b"no\x00t now"), {"Location": target.url + "2"}
        happens(acme)
        gaps = []
        for _ in range(3):
            before = timezone.now()
            assert sending.call(str(webhook.pk)) is False
            delivery = webhook.deliveries.get()
            gaps.append(round((delivery.next_at - before).total_seconds()))
            past(webhook)
        assert gaps == list(sending.GAPS[:3])
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
        monkeypatch.setattr(sending, "DEADLINE", 0.5)
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


class TestTwice:
    def test_two_workers_do_not_call_at_once(self, acme, webhook, target):
        happens(acme)
        Webhook.objects.update(busy_until=timezone.now() + timedelta(seconds=30))
        assert sending.call(str(webhook.pk)) is False
        assert not target.calls
        assert sending.webhooks_owed() == []

    def test_a_worker_that_died_is_followed_by_another(self, acme, webhook, target):
        happens(acme)
        Webhook.objects.update(busy_until=timezone.now() - timedelta(seconds=1))
        assert sending.webhooks_owed() == [webhook.pk]
        sending.call(str(webhook.pk))
        assert len(target.calls) == 1

    def test_a_second_hint_sends_nothing(self, acme, webhook, target):
        happens(acme)
        for _ in range(2):
            tasks.call_webhook.run(str(webhook.pk))
        assert len(target.calls) == 1

    def test_it_is_sent_again_by_hand(self, acme, webhook, target):
        happens(acme)
        sending.call(str(webhook.pk))
        delivery = webhook.deliveries.get()
        assert delivery.send_again() is True
        assert delivery.send_again() is False
        sending.call(str(webhook.pk))
        assert len(target.calls) == 2
        assert target.calls[0][1] == target.calls[1][1]

    def test_a_test_goes_to_this_one_alone(self, acme, alice, webhook, target):
        add_webhook(acme, target.url + "2", ["mailboxes"], by=alice)
        webhook.test()
        sending.call(str(webhook.pk))
        assert [event["type"] for event in target.events(webhook.secret)] == ["webhook.test"]
        assert Delivery.objects.count() == 1


class TestSlow:
    def test_a_customer_gets_three_threads_and_slow_ones_some_of_all(
        self, acme, other, alice, mallory, webhook, target
    ):
        happens(acme)
        Webhook.objects.filter(pk=webhook.pk).update(is_prompt=True)
        for _ in range(3):
            Webhook.objects.create(customer=acme, url=target.url, groups=["orders"], busy_until=later())
        assert sending.call(str(webhook.pk)) is False
        Webhook.objects.exclude(pk=webhook.pk).delete()
        sending.call(str(webhook.pk))
        assert len(target.calls) == 1

        taken = [sending._slow.acquire(blocking=False) for _ in range(sending.SLOW_AT_ONCE)]
        assert all(taken)
        try:
            Webhook.objects.filter(pk=webhook.pk).update(is_prompt=False)
            happens(acme)
            assert sending.call(str(webhook.pk)) is False
            assert len(target.calls) == 1
        finally:
            for _ in taken:
                sending._slow.release()

    def test_who_answers_at_once_is_prompt_and_who_dawdles_is_not(self, acme, webhook, target, monkeypatch):
        happens(acme)
        sending.call(str(webhook.pk))
        assert webhook_now(webhook).is_prompt
        monkeypatch.setattr(sending, "PROMPT", 0.01)
        target.answer = dawdle(0.1)
        happens(acme)
        sending.call(str(webhook.pk))
        assert not webhook_now(webhook).is_prompt


def test_old_events_are_forgotten(acme, webhook, target):
    happens(acme)
    sending.call(str(webhook.pk))
    assert forget_old_events() == 0
    WebhookEvent.objects.update(at=timezone.now() - timedelta(days=31))
    tasks.sweep_webhook_logs.run()
    assert not any(kind.objects.exists() for kind in (WebhookEvent, Delivery, Attempt))


def webhook_now(webhook: Webhook) -> Webhook:
    return Webhook.objects.get(pk=webhook.pk)


def later() -> Any:
    return timezone.now() + timedelta(seconds=30)


def told(messages: list[EmailMessage]) -> list[EmailMessage]:
    return [message for message in messages if "webhook" in message.subject.lower()]
