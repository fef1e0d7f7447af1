"""Which events there are, and writing them down in the transaction of their cause, for each webhook that wants them.

Most are what the audit trail says of a customer, under the same names: `audit.record` tells them by itself.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.utils import timezone
from django.utils.crypto import salted_hmac

from foundation.unit_of_work import at_end_of_work

if TYPE_CHECKING:
    from accounts.models import Webhook

TEST = "webhook.test"
DNS = "domain.dns"  # wrong, twice in a row, or right again
SENDING_NEAR, STORAGE_NEAR, PLAN_NEAR = (
    "mailbox.sending_near",
    "mailbox.storage_near",
    "customer.storage_near",
)

# Group -> what people call it, and its kinds of events.
GROUPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "orders": (
        "Orders and payments",
        (
            "order.place", "order.approve", "order.reject", "order.ask", "order.answer", "order.cancel",
            "order.activate", "invoice.issue", "invoice.credit", "payment.receive", "payment.record", "refund.give",
            "refund.record", "refund.send",
        ),
    ),
    "domains": (
        "Domains",
        ("domain.add", "domain.delete", "domain.restore", "domain.keep", "domain.give"),
    ),
    "dns": ("DNS that is right no more, or again", (DNS,)),
    "mailboxes": (
        "Mailboxes",
        (
            "mailbox.add", "mailbox.change", "mailbox.delete", "mailbox.restore", "mailbox.password", "mailbox.invite",
            "mailbox.invitation_accept", "mailbox.invitation_revoke", "mailbox.import", "bulk.start", "bulk.undo",
        ),
    ),
    "limits": (
        "Limits of sending and storage",
        (
            "mailbox.limit", "mailbox.raise", "mailbox.raise_end", "customer.limit", SENDING_NEAR, STORAGE_NEAR,
            PLAN_NEAR,
        ),
    ),
    "suspensions": (
        "Suspensions",
        ("mailbox.suspend", "mailbox.unsuspend", "customer.suspend", "customer.unsuspend", "customer.activate"),
    ),
}  # fmt: skip
GROUP_OF = {kind: group for group, (_, kinds) in GROUPS.items() for kind in kinds}

# What an event says beside its ids: numbers, states and times; no texts, and no names of people.
FACTS = frozenset(
    {
        "quota_mb",
        "stops",
        "cause",
        "until",
        "sends_per_day",
        "verb",
        "mailboxes",
        "added",
        "changed",
        "percent",
        "wrong",
    }
)
# Kinds whose object is another one than their name says.
NOUNS = {
    "bulk": "domain", "payment": "order", "refund": "order", "mailbox.import": "domain",
}  # fmt: skip

# One statement, so that telling costs one: the next number of the object, the event, and what each webhook is owed.
# The counter's row is held until COMMIT, so that numbers are given in the order of commits, and so are the webhooks, so
# that one that is removed meanwhile waits.
_TELL = """
WITH heard AS (
    SELECT id FROM accounts_webhook
    WHERE customer_id = %(customer)s AND switched_off_at IS NULL AND (id = %(only)s::uuid OR %(group)s = ANY(groups))
    ORDER BY id FOR KEY SHARE
), counted AS (
    INSERT INTO accounts_eventcounter (customer_id, object, last, at)
    SELECT %(customer)s, %(object)s, 1, %(at)s WHERE EXISTS (SELECT FROM accounts_webhook WHERE customer_id = %(customer)s)
    ON CONFLICT (customer_id, object) DO UPDATE SET last = accounts_eventcounter.last + 1, at = excluded.at RETURNING last
), event AS (
    INSERT INTO accounts_webhookevent (id, customer_id, kind, at, data)
    SELECT %(id)s, %(customer)s, %(kind)s, %(at)s, %(data)s::jsonb || jsonb_build_object('sequence', counted.last)
    FROM counted WHERE EXISTS (SELECT FROM heard) RETURNING id
)
INSERT INTO accounts_delivery (webhook_id, event_id, attempts, next_at, is_delivered)
SELECT heard.id, event.id, 0, %(at)s, false FROM heard, event RETURNING webhook_id, id
"""


def tell(customer: "Any", kind: str, subject: str, facts: Mapping[str, Any] | None = None) -> None:
    """Owe every webhook of the customer (a Customer, or its id) that wants this kind an event about `subject`, as the API
    names it. Costs one statement, whoever listens. A kind that is in no group is told to nobody. RuntimeError outside of
    the transaction of its cause.
    """
    if kind in GROUP_OF:
        _tell(getattr(customer, "pk", customer), kind, subject, facts or {}, group=GROUP_OF[kind])


def tell_one(webhook: "Webhook", kind: str, subject: str) -> int | None:
    """Owe this webhook alone an event, whatever groups it wants; the id of the delivery, None where it is off or gone."""
    owed = _tell(webhook.customer_id, kind, subject, {}, only=webhook.pk)
    return owed[0][1] if owed else None


def noun_of(kind: str) -> str:
    """What sort of object an event of this kind is about: `order`, `domain`, `mailbox` …"""
    noun = kind.partition(".")[0]
    return NOUNS.get(kind) or NOUNS.get(noun, noun)


def _tell(
    customer: UUID,
    kind: str,
    subject: str,
    facts: Mapping[str, Any],
    *,
    group: str = "",
    only: UUID | None = None,
) -> list[tuple[UUID, int]]:
    if not connection.in_atomic_block:
        raise RuntimeError("An event belongs into the transaction of its cause.")
    noun = noun_of(kind)
    data = {"object": noun, "id": subject, "facts": {name: facts[name] for name in facts if name in FACTS}}
    values = {
        "customer": customer, "only": only, "group": group, "kind": kind, "at": timezone.now(), "id": uuid4(),
        "object": salted_hmac("webhook event", f"{noun}:{subject}").hexdigest(),
        "data": json.dumps(data, cls=DjangoJSONEncoder),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_TELL, values)
        owed: list[tuple[UUID, int]] = cursor.fetchall()
    for webhook, _ in owed:
        ask_for_call(webhook)
    return owed


def ask_for_call(webhook: UUID) -> None:
    """Give the worker a hint after COMMIT, one for each webhook however much it is told of."""
    from accounts.tasks import call_webhook

    at_end_of_work(("webhook", webhook), lambda: call_webhook.delay_on_commit(str(webhook)))
