"""Calling webhooks: what each is owed, oldest first, until it is taken or three days are over.

A webhook is called by one worker at a time. One that was not prompt last time, or was never called, gets a limited share
of the worker's threads, and each customer two of them, so that a slow target delays nobody else's.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import requests
from django.conf import settings
from django.db.models import F
from django.utils import timezone
from standardwebhooks import Webhook as Signer

from accounts.models import Attempt, Delivery, Membership, Role, Webhook
from accounts.notices import notice_kind, send_notice
from accounts.webhooks.targets import is_test_target
from foundation.outbound import OutboundError, Reply, fetch, new_session
from foundation.unit_of_work import unit_of_work

DEADLINE = 10.0  # seconds for a call in all
PROMPT = 2.0
SHIFT = 20.0  # seconds that a worker stays with one webhook before others have their turn
BUSY = timedelta(seconds=30)  # renewed with each call; after it another worker takes over from one that died
SLOW_AT_ONCE = 8  # of this process's threads
OF_ONE_CUSTOMER = 2
KEPT_OF_REPLY = 1024
GIVEN_UP_AFTER = timedelta(days=3)
# From one call to the next of the same event; together more than the three days.
GAPS = (5, 60, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)  # seconds
OFF = "webhook.off"
TOLD = 50  # owners

_slow = threading.BoundedSemaphore(SLOW_AT_ONCE)


def webhooks_owed(limit: int = 200) -> list[UUID]:
    """Ids of webhooks to call now, those first that wait for the worker longest."""
    return list(Webhook.objects.owed().order_by("busy_until").values_list("pk", flat=True)[:limit])


def call(webhook_id: str) -> bool:
    """Call this webhook with all that is due to it, unless another worker does. True asks to be called again: something
    is left, or came while it was let go. After a failure the sweep does that.
    """
    webhook = Webhook.objects.filter(pk=webhook_id, switched_off_at=None).first()
    if webhook is None:
        return False
    with _lane(webhook) as is_free:
        if not is_free or not _claim(webhook):
            return False
        try:
            went_well = _work_off(webhook)
        finally:
            Webhook.objects.filter(pk=webhook.pk).update(busy_until=timezone.now())
    return went_well and Webhook.objects.owed().filter(pk=webhook.pk).exists()


@contextmanager
def _lane(webhook: Webhook) -> Iterator[bool]:
    """Whether a thread of this process is free for it."""
    if webhook.is_prompt:
        yield True
        return
    is_free = _slow.acquire(blocking=False)
    try:
        yield is_free
    finally:
        if is_free:
            _slow.release()


def _claim(webhook: Webhook) -> bool:
    now = timezone.now()
    busy = Webhook.objects.filter(customer=webhook.customer_id, is_prompt=False, busy_until__gt=now)
    if not webhook.is_prompt and busy.count() >= OF_ONE_CUSTOMER:
        return False
    free = Webhook.objects.filter(pk=webhook.pk, busy_until__lte=now)
    return bool(free.update(busy_until=now + BUSY))


def _work_off(webhook: Webhook) -> bool:
    """One call after the other, until one fails (then false): the others would, too, and wait for the next time."""
    until = time.monotonic() + SHIFT
    open_ones = webhook.deliveries.filter(ended_at=None)
    while time.monotonic() < until:
        due = open_ones.filter(next_at__lte=timezone.now()).order_by("next_at", "pk")
        delivery = due.select_related("event__customer").first()
        if delivery is None:
            return True
        if not _attempt(webhook, delivery):
            return False
        Webhook.objects.filter(pk=webhook.pk).update(busy_until=timezone.now() + BUSY)
    return True


def _attempt(webhook: Webhook, delivery: Delivery) -> bool:
    started, at = time.monotonic(), timezone.now()
    reply, failure = _send(webhook, delivery, at)
    taken = reply is not None and 200 <= reply.status < 300
    seconds = time.monotonic() - started
    with unit_of_work():
        Attempt.objects.create(
            delivery=delivery,
            at=at,
            milliseconds=round(seconds * 1000),
            status=reply.status if reply else None,
            reply=_readable(reply.body) if reply else "",
            failure=failure,
        )
        if taken:
            _note_success(webhook, delivery, prompt=seconds <= PROMPT)
        else:
            _note_failure(webhook, delivery, gone=reply is not None and reply.status == 410)
    return taken


def _send(webhook: Webhook, delivery: Delivery, at: datetime) -> tuple[Reply | None, str]:
    body = body_of(delivery)
    name = delivery.event.message_id
    signatures = [Signer(secret).sign(name, at, body) for secret in webhook.secrets]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"{settings.PRODUCT_NAME}-webhooks/1",
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    session = new_session(public_only=not is_test_target(webhook.url))
    try:
        options: dict[str, Any] = {"data": body.encode(), "headers": headers, "session": session, "cut": True}
        return fetch("POST", webhook.url, deadline=DEADLINE, max_bytes=KEPT_OF_REPLY, **options), ""
    except OutboundError as error:
        return None, _why(error)
    finally:
        session.close()


def body_of(delivery: Delivery) -> str:
    """What is sent, the same bytes at each call: `{"type", "timestamp", "data": {"customer", "object", "id", "sequence",
    "facts"}}`.
    """
    event = delivery.event
    data = {"customer": event.customer.username, **event.data}
    return json.dumps({"type": event.kind, "timestamp": event.at.isoformat(), "data": data}, sort_keys=True)


def _why(error: OutboundError) -> str:
    if isinstance(error.__cause__, requests.exceptions.SSLError):
        return "Its TLS certificate is not accepted."
    if str(error) == "ConnectionError.":
        return "No connection could be made, or it broke."
    return str(error)[:200]


def _readable(body: bytes) -> str:
    """As text that the database takes: no NUL."""
    return body.decode("utf-8", "replace").replace("\x00", "�")[:KEPT_OF_REPLY]


def _note_success(webhook: Webhook, delivery: Delivery, *, prompt: bool) -> None:
    now = timezone.now()
    done = {"ended_at": now, "is_delivered": True, "attempts": F("attempts") + 1}
    Delivery.objects.filter(pk=delivery.pk).update(**done)
    changed = Webhook.objects.filter(pk=webhook.pk).exclude(failing_since=None, is_prompt=prompt)
    changed.update(failing_since=None, is_prompt=prompt)


def _note_failure(webhook: Webhook, delivery: Delivery, *, gone: bool) -> None:
    """Put it off, or give it up; a webhook that has failed for three days, or says that it is gone, is switched off."""
    now = timezone.now()
    over = now - delivery.event.at >= GIVEN_UP_AFTER
    gap = timedelta(seconds=GAPS[min(delivery.attempts, len(GAPS) - 1)])
    Delivery.objects.filter(pk=delivery.pk).update(
        attempts=F("attempts") + 1, next_at=now + gap, ended_at=now if over else None
    )
    found = Webhook.objects.select_for_update().filter(pk=webhook.pk).first()
    if found is None:
        return
    found.failing_since = found.failing_since or now
    Webhook.objects.filter(pk=found.pk).update(failing_since=found.failing_since, is_prompt=False)
    if gone or now - found.failing_since >= GIVEN_UP_AFTER:
        why = "It answered 410 Gone." if gone else "It took nothing for three days."
        if found.switch_off(why, by=None):
            send_notice(OFF, found.pk)


@notice_kind(OFF, template="accounts/emails/webhook_off")
def _off(webhook_id: str) -> tuple[list[str], dict[str, Any]]:
    """To the owners; nobody where it is on again, or gone."""
    webhook = Webhook.objects.select_related("customer").filter(pk=UUID(webhook_id)).first()
    if webhook is None or not webhook.switched_off_at:
        return [], {}
    owners = Membership.objects.filter(customer=webhook.customer, role=Role.OWNER, user__is_active=True)
    addresses = list(owners.order_by("pk").values_list("user__email", flat=True)[:TOLD])
    last = Attempt.objects.filter(delivery__webhook=webhook).first()
    url = settings.PANEL_URL + webhook.get_absolute_url()
    return addresses, {"webhook": webhook, "customer": webhook.customer, "last": last, "webhook_url": url}
