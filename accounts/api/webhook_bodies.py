"""What calls about webhooks take and answer."""

from collections.abc import Container
from typing import Any

from rest_framework import serializers

from accounts.access import Permission
from accounts.models import Customer, Delivery, Webhook
from accounts.webhooks.events import GROUPS
from accounts.webhooks.sending import body_of
from accounts.webhooks.targets import LONGEST
from foundation.api import Body

CALLS_SHOWN = 50
SECRET = "whsec_bm90IGEgc2VjcmV0LCBvbmx5IGFuIGV4YW1wbGUhISE="  # noqa: S105 an example
HOOK = {
    "id": "0c6b2a52-4c1e-4e0f-9d55-7a3f1f3c2b10", "host": "hooks.example.com",
    "url": "https://hooks.example.com/mail", "groups": ["dns", "mailboxes"], "active": True, "status": "active",
    "off_because": "", "failing_since": None, "former_secret_until": None, "created_at": "2026-01-31T12:00:00Z",
}  # fmt: skip
TOLD = {
    "number": 4711, "webhook_id": "msg_76e020015156424a9b326c203bcdda88", "type": "mailbox.add", "object": "mailbox",
    "id": "anna@example.com", "sequence": 1, "at": "2026-01-31T12:00:00Z", "status": "delivered", "attempts": 1,
    "next_at": None, "last_status": 204, "last_failure": "",
}  # fmt: skip
CALL = {"at": "2026-01-31T12:00:01Z", "milliseconds": 85, "status": 204, "reply": "", "failure": ""}
BODY = (
    '{"data": {"customer": "acme", "facts": {"quota_mb": 1024}, "id": "anna@example.com", "object": "mailbox", '
    '"sequence": 1}, "timestamp": "2026-01-31T12:00:00+00:00", "type": "mailbox.add"}'
)


class WebhookBody(Body):
    url = serializers.CharField(max_length=LONGEST)
    groups = serializers.ListField(child=serializers.ChoiceField(list(GROUPS)), allow_empty=False)


class WebhookChange(Body):
    url = serializers.CharField(required=False, max_length=LONGEST)
    groups = serializers.ListField(
        required=False, child=serializers.ChoiceField(list(GROUPS)), allow_empty=False
    )
    active = serializers.BooleanField(required=False)


class WebhookFacts(serializers.Serializer):
    id = serializers.UUIDField()
    host = serializers.CharField()
    url = serializers.CharField(
        allow_null=True, help_text="It may hold a secret: null to a key without webhooks:edit."
    )
    groups = serializers.ListField(child=serializers.CharField())
    active = serializers.BooleanField(help_text="Whether it is switched on.")
    status = serializers.CharField(help_text="`active`, `failing` or `off`.")
    off_because = serializers.CharField(allow_blank=True, help_text="Empty where a member switched it off.")
    failing_since = serializers.DateTimeField(allow_null=True)
    former_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until then the secret before this one signs, too."
    )
    created_at = serializers.DateTimeField()


class WebhookWithSecret(WebhookFacts):
    secret = serializers.CharField()


class DeliveryFacts(serializers.Serializer):
    number = serializers.IntegerField()
    webhook_id = serializers.CharField(help_text="The header `webhook-id`, the same at each call.")
    type = serializers.CharField()
    object = serializers.CharField()
    id = serializers.CharField(help_text="Of the object.")
    sequence = serializers.IntegerField(help_text="Which event of the object it is.")
    at = serializers.DateTimeField()
    status = serializers.CharField(help_text="`waiting`, `delivered` or `given_up`.")
    attempts = serializers.IntegerField()
    next_at = serializers.DateTimeField(allow_null=True, help_text="Of the next call, while it is waiting.")
    last_status = serializers.IntegerField(allow_null=True)
    last_failure = serializers.CharField(
        allow_blank=True, help_text="Why there was no answer to the last call."
    )


class DeliveryPage(serializers.Serializer):
    deliveries = DeliveryFacts(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class CallFacts(serializers.Serializer):
    at = serializers.DateTimeField()
    milliseconds = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True)
    reply = serializers.CharField(allow_blank=True, help_text="The first kilobyte of it.")
    failure = serializers.CharField(allow_blank=True)


class DeliveryWithCalls(DeliveryFacts):
    body = serializers.CharField(help_text="What is sent, to the byte.")
    calls = CallFacts(many=True, help_text=f"The newest first, {CALLS_SHOWN} at most.")


def webhook_facts(webhook: Webhook, rights: Container[Permission]) -> dict[str, Any]:
    """As a key with these rights sees it; never with its secret."""
    names = ("id", "host", "groups", "status", "off_because", "failing_since", "created_at")
    return {name: getattr(webhook, name) for name in names} | {
        "url": webhook.url if Permission.WEBHOOKS_EDIT in rights else None,
        "active": webhook.switched_off_at is None,
        "former_secret_until": webhook.former_signs_until,
    }


def delivery_facts(delivery: Any) -> dict[str, Any]:
    """Of a delivery with its last answer."""
    event = delivery.event
    about = {name: event.data[name] for name in ("object", "id", "sequence")}
    return {
        "number": delivery.pk,
        "webhook_id": event.message_id,
        "type": event.kind,
        "at": event.at,
        **about,
    } | {
        "status": delivery.status,
        "attempts": delivery.attempts,
        "next_at": delivery.due_at,
        "last_status": delivery.last_status,
        "last_failure": delivery.last_failure or "",
    }


def delivery_with_calls(delivery: Delivery, customer: Customer) -> dict[str, Any]:
    delivery.event.customer = customer
    names = ("at", "milliseconds", "status", "reply", "failure")
    calls = [{name: getattr(call, name) for name in names} for call in delivery.calls.all()[:CALLS_SHOWN]]
    return {**delivery_facts(delivery), "body": body_of(delivery), "calls": calls}
