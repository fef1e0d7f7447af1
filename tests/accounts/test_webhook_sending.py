"""What happened reaches the customer's webhooks, signed, at least once, in the numbers of its object."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from standardwebhooks import Webhook as Receiver
from standardwebhooks import WebhookVerificationError

from accounts import audit, tasks
from accounts.models import Attempt, AuditEntry, Delivery, Webhook, WebhookEvent
from accounts.models.delivery import forget_old_events
from accounts.models.webhook import add_webhook
from accounts.webhooks import events, sending
from foundation.unit_of_work import unit_of_work
from tests.accounts.conftest import happens, later, webhook_now
from tests.webhook_target import dawdle

pytestmark = pytest.mark.django_db


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
