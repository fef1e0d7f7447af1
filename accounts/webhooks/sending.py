"""Calling webhooks: what each is owed, oldest first, until it is taken or three days are over.

A webhook is called by one worker at a time. One that was not prompt last time, or was never called, gets a limited share
of the worker's threads, and each customer two of them, so that a slow target delays nobody else's.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import requests
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import F, QuerySet
from django.utils import timezone
from standardwebhooks import Webhook as Signer

from accounts.models import Attempt, Delivery, Role, Webhook
from accounts.models.delivery import GIVEN_UP_AFTER
from accounts.models.webhook import BUSY, UNBLAMED
from accounts.notices import notice_kind, send_notice
from accounts.webhooks.targets import check_target, is_test_target
from foundation.outbound import OutboundError, Reply, fetch, new_session
from foundation.unit_of_work import unit_of_work

DEADLINE = 10.0  # seconds for a call in all
PROMPT = 2.0
SHIFT = 5.0  # seconds that a worker stays with one webhook before others have their turn
SLOW_AT_ONCE = 8  # of this process's threads
OF_ONE_CUSTOMER = 3  # threads
KEPT_OF_REPLY = 1024
# From one call to the next of the same event; together more than the three days.
GAPS = (5, 60, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)  # seconds
# How long a webhook rests after so many failures in a row, whatever else it is owed.
RESTS = (5, 15, 60, 300, 900, 1_800, 3_600)  # seconds
MANY = 8  # failures in a row, without which three days are no sign that a receiver is away
OFF = "webhook.off"

AGENT = f"{settings.PRODUCT_NAME}-webhooks/1".encode("ascii", "replace").decode()
logger = logging.getLogger(__name__)
_slow = threading.BoundedSemaphore(SLOW_AT_ONCE)


def webhooks_owed(limit: int = 200) -> list[UUID]:
    """Ids of webhooks to call now, those first that wait for the worker longest."""
    return list(Webhook.objects.owed().order_by("busy_until").values_list("pk", flat=True)[:limit])


def call(webhook_id: str) -> bool:
    """Call this webhook with all that is due to it, unless another worker does. True asks to be called again: something
    is left, or came while it was let go. After a failure the sweep does that.
    """
    webhook = Webhook.objects.callable().filter(pk=webhook_id).first()
    if webhook is None:
        return False
    with _lane(webhook) as is_free:
        lease = _claim(webhook) if is_free else None
        if lease is None:
            return False
        went_well = False
        try:
            went_well, lease = _work_off(webhook, lease)
        finally:
            Webhook.objects.filter(pk=webhook.pk, busy_until=lease).update(busy_until=timezone.now())
    return went_well and _due(webhook).exists()


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


def _claim(webhook: Webhook) -> datetime | None:
    """Until when it is this worker's; None where another has it, or enough have others of its customer."""
    now = timezone.now()
    others = Webhook.objects.filter(customer=webhook.customer_id, busy_until__gt=now).exclude(pk=webhook.pk)
    if others.count() >= OF_ONE_CUSTOMER:
        return None
    lease = now + BUSY
    claimed = Webhook.objects.callable().filter(pk=webhook.pk).update(busy_until=lease)
    return lease if claimed else None


def _due(webhook: Webhook) -> QuerySet[Delivery]:
    due = webhook.deliveries.filter(ended_at=None, next_at__lte=timezone.now())
    return due.order_by("next_at", "pk").select_related("event__customer")


def _work_off(webhook: Webhook, lease: datetime) -> tuple[bool, datetime]:
    """One call after the other, until one fails or takes long, or the webhook is no longer this worker's; whether all
    went well, and the lease as it is then.
    """
    until = time.monotonic() + SHIFT
    while time.monotonic() < until:
        current = Webhook.objects.filter(pk=webhook.pk, switched_off_at=None, busy_until=lease).first()
        delivery = _due(current).first() if current else None
        if current is None or delivery is None:
            return True, lease
        was_taken, seconds = _attempt(current, delivery)
        renewed = timezone.now() + BUSY
        if Webhook.objects.filter(pk=webhook.pk, busy_until=lease).update(busy_until=renewed):
            lease = renewed
        if not was_taken or seconds > PROMPT:
            return was_taken, lease
    return True, lease


def _attempt(webhook: Webhook, delivery: Delivery) -> tuple[bool, float]:
    """Whether it was taken, and how long that took."""
    started, at = time.monotonic(), timezone.now()
    reply, failure = _send(webhook, delivery, at)
    taken = reply is not None and 200 <= reply.status < 300
    seconds = time.monotonic() - started
    with unit_of_work():
        current = Webhook.objects.select_for_update(no_key=True).filter(pk=webhook.pk).first()
        known = Delivery.objects.select_for_update(no_key=True).filter(pk=delivery.pk).exists()
        if current is None or not known:
            return taken, seconds  # removed meanwhile, and its log with it
        Attempt.objects.create(
            delivery=delivery,
            at=at,
            milliseconds=round(seconds * 1000),
            status=reply.status if reply else None,
            reply=_readable(reply.body) if reply else "",
            failure=failure,
        )
        if current.url != webhook.url:
            return taken, seconds  # another receiver is owed it since, and not to blame
        if taken:
            _note_success(current, delivery, prompt=seconds <= PROMPT)
        else:
            _note_failure(current, delivery, gone=reply is not None and reply.status == 410)
    return taken, seconds


def _send(webhook: Webhook, delivery: Delivery, at: datetime) -> tuple[Reply | None, str]:
    """The answer, or why there is none."""
    body = body_of(delivery)
    name = delivery.event.message_id
    signatures = [Signer(secret).sign(name, at, body) for secret in webhook.secrets]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": AGENT,
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
    session = new_session(public_only=not is_test_target(webhook.url))
    try:
        url = check_target(webhook.url)
        options: dict[str, Any] = {"data": body.encode(), "headers": headers, "session": session, "cut": True}
        return fetch("POST", url, deadline=DEADLINE, max_bytes=KEPT_OF_REPLY, **options), ""
    except ValidationError as error:
        return None, " ".join(error.messages)
    except OutboundError as error:
        return None, _why(error)
    except Exception as error:  # what a stranger answers must never keep a call from being counted
        logger.warning("A webhook's answer was not understood: %s", type(error).__name__)
        return None, "Its answer was not understood."
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
    if webhook.failures or webhook.failing_since or webhook.is_prompt != prompt:
        Webhook.objects.filter(pk=webhook.pk).update(is_prompt=prompt, **UNBLAMED)


def _note_failure(webhook: Webhook, delivery: Delivery, *, gone: bool) -> None:
    """Put it off, or give it up; a webhook that has failed for three days, or says that it is gone, is switched off."""
    now = timezone.now()
    over = now - delivery.event.at >= GIVEN_UP_AFTER
    gap = timedelta(seconds=GAPS[min(delivery.attempts, len(GAPS) - 1)])
    Delivery.objects.filter(pk=delivery.pk, ended_at=None).update(
        attempts=F("attempts") + 1, next_at=now + gap, ended_at=now if over else None
    )
    rest = timedelta(seconds=RESTS[min(webhook.failures, len(RESTS) - 1)])
    failures, since = webhook.failures + 1, webhook.failing_since or now
    changes = {"failures": failures, "failing_since": since, "rests_until": now + rest, "is_prompt": False}
    Webhook.objects.filter(pk=webhook.pk).update(**changes)
    if gone or (failures >= MANY and now - since >= GIVEN_UP_AFTER):
        why = "It answered 410 Gone." if gone else "It took nothing for three days."
        if webhook.switch_off(why, by=None):
            send_notice(OFF, webhook.pk)
    elif not webhook.deliveries.filter(
        ended_at=None
    ).exists():  # nothing is tried, so nothing can go on to fail
        Webhook.objects.filter(pk=webhook.pk).update(**UNBLAMED)


@notice_kind(OFF, template="accounts/emails/webhook_off")
def _off(webhook_id: str) -> tuple[list[str], dict[str, Any]]:
    """To the owners; nobody where it is on again, or gone."""
    webhook = Webhook.objects.select_related("customer").filter(pk=UUID(webhook_id)).first()
    if webhook is None or not webhook.switched_off_at:
        return [], {}
    addresses = webhook.customer.member_addresses(role=Role.OWNER)
    newest = webhook.deliveries.order_by("-pk").values("pk")[:50]
    last = Attempt.objects.filter(delivery__in=newest).first()
    url = settings.PANEL_URL + webhook.get_absolute_url()
    return addresses, {"webhook": webhook, "customer": webhook.customer, "last": last, "webhook_url": url}
