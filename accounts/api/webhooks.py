"""Webhooks: list, add, change, remove, their secret, a test, and what each was told."""

from typing import Any, ClassVar
from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Permission
from accounts.api import webhook_bodies as bodies
from accounts.api.once import answered_once
from accounts.api.paging import page_by_number
from accounts.api.view import ApiView
from accounts.models import Customer, Delivery, Webhook
from accounts.models.webhook import add_webhook
from foundation.api import checked
from foundation.api_schema import CURSOR, LIMIT, described
from foundation.unit_of_work import unit_of_work

READ, EDIT = Permission.WEBHOOKS_READ, Permission.WEBHOOKS_EDIT


class WebhooksView(ApiView):
    permissions: ClassVar = {"GET": READ, "POST": EDIT}

    @described(
        "List webhooks, the newest first",
        data=bodies.WebhookFacts(many=True),
        example=[bodies.HOOK],
        tag="webhooks",
    )
    def get(self, request: Request) -> Response:
        return Response(
            [bodies.webhook_facts(webhook, self.rights) for webhook in self.customer.webhooks.all()]
        )

    @described(
        "Add a webhook; its secret stands in this answer alone",
        body=bodies.WebhookBody,
        sent={"url": bodies.HOOK["url"], "groups": bodies.HOOK["groups"]},
        data=bodies.WebhookWithSecret,
        example={**bodies.HOOK, "secret": bodies.SECRET},
        status=201,
        errors=(422,),
        tag="webhooks",
    )
    @answered_once
    def post(self, request: Request) -> Response:
        webhook = add_webhook(self.customer, **checked(bodies.WebhookBody, request.data), by=self.person)
        return Response({**bodies.webhook_facts(webhook, self.rights), "secret": webhook.secret}, status=201)


class WebhookView(ApiView):
    permissions: ClassVar = {"GET": READ, "PATCH": EDIT, "DELETE": EDIT}

    @described("One webhook", data=bodies.WebhookFacts, example=bodies.HOOK, tag="webhooks")
    def get(self, request: Request, webhook: UUID) -> Response:
        return Response(bodies.webhook_facts(_webhook(self.customer, webhook), self.rights))

    @described(
        "Change a webhook, or switch it on or off: all that is named, or nothing",
        body=bodies.WebhookChange,
        sent={"groups": ["mailboxes"], "active": True},
        data=bodies.WebhookFacts,
        example={**bodies.HOOK, "groups": ["mailboxes"]},
        errors=(422,),
        tag="webhooks",
    )
    def patch(self, request: Request, webhook: UUID) -> Response:
        found = _webhook(self.customer, webhook)
        values = checked(bodies.WebhookChange, request.data)
        with unit_of_work():
            if "url" in values or "groups" in values:
                found.change(values.get("url", found.url), values.get("groups", found.groups), by=self.person)
            if "active" in values:
                switch = found.switch_on if values["active"] else found.switch_off
                switch(by=self.person)
        return Response(bodies.webhook_facts(found, self.rights))

    @described("Remove a webhook with its log", status=204, tag="webhooks")
    def delete(self, request: Request, webhook: UUID) -> Response:
        _webhook(self.customer, webhook).remove(by=self.person)
        return Response(status=204)


class WebhookRotateView(ApiView):
    permissions: ClassVar = {"POST": EDIT}

    @described(
        "Make a new secret for a webhook; the former one signs as well for a day",
        data=bodies.WebhookWithSecret,
        example={**bodies.HOOK, "former_secret_until": "2026-02-01T12:00:00Z", "secret": bodies.SECRET},
        status=201,
        errors=(422,),
        tag="webhooks",
    )
    @answered_once
    def post(self, request: Request, webhook: UUID) -> Response:
        found = _webhook(self.customer, webhook)
        secret = found.rotate(by=self.person)
        return Response({**bodies.webhook_facts(found, self.rights), "secret": secret}, status=201)


class WebhookTestView(ApiView):
    permissions: ClassVar = {"POST": EDIT}

    @described(
        "Send a test to a webhook",
        data=bodies.DeliveryFacts,
        example={
            **bodies.TOLD,
            "type": "webhook.test",
            "status": "waiting",
            "attempts": 0,
            "last_status": None,
        },
        status=201,
        errors=(422,),
        tag="webhooks",
    )
    @answered_once
    def post(self, request: Request, webhook: UUID) -> Response:
        found = _webhook(self.customer, webhook)
        return Response(bodies.delivery_facts(_delivery(found, found.test().pk)), status=201)


class DeliveriesView(ApiView):
    permissions: ClassVar = {"GET": READ}

    @described(
        "List what a webhook was told in the last 30 days, the newest first",
        data=bodies.DeliveryPage,
        example={"deliveries": [bodies.TOLD], "next_cursor": None},
        parameters=(CURSOR, LIMIT),
        tag="webhooks",
    )
    def get(self, request: Request, webhook: UUID) -> Response:
        deliveries = _deliveries(_webhook(self.customer, webhook))
        found, following = page_by_number(deliveries, request)
        facts = [bodies.delivery_facts(delivery) for delivery in found]
        return Response({"deliveries": facts, "next_cursor": following})


class DeliveryView(ApiView):
    permissions: ClassVar = {"GET": READ}

    @described(
        "One delivery, its body, and its calls",
        data=bodies.DeliveryWithCalls,
        example={**bodies.TOLD, "body": bodies.BODY, "calls": [bodies.CALL]},
        tag="webhooks",
    )
    def get(self, request: Request, webhook: UUID, delivery: int) -> Response:
        found = _delivery(_webhook(self.customer, webhook), delivery)
        return Response(bodies.delivery_with_calls(found, self.customer))


class DeliverySendAgainView(ApiView):
    permissions: ClassVar = {"POST": EDIT}

    @described(
        "Send a delivery again",
        data=bodies.DeliveryFacts,
        example={**bodies.TOLD, "status": "waiting"},
        status=202,
        errors=(422,),
        tag="webhooks",
    )
    @answered_once
    def post(self, request: Request, webhook: UUID, delivery: int) -> Response:
        found = _webhook(self.customer, webhook)
        _delivery(found, delivery).send_again()
        return Response(bodies.delivery_facts(_delivery(found, delivery)), status=202)


def _webhook(customer: Customer, pk: UUID) -> Webhook:
    found: Webhook = get_object_or_404(customer.webhooks, pk=pk)
    found.customer = customer
    return found


def _deliveries(webhook: Webhook) -> Any:
    return webhook.deliveries.select_related("event").with_last_answer()


def _delivery(webhook: Webhook, pk: int) -> Delivery:
    found: Delivery = get_object_or_404(_deliveries(webhook), pk=pk)
    return found
