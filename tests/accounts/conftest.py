"""Mails of the verbs under test, delivered at once, as the sweep would; and a webhook with somebody who takes its calls."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMessage
from django.utils import timezone

from accounts import audit, notices
from accounts.models import Customer, User, Webhook
from accounts.models.webhook import add_webhook
from foundation.unit_of_work import unit_of_work
from tests.webhook_target import Target, listening


@pytest.fixture
def delivered(db: None) -> Callable[[], list[EmailMessage]]:
    """Send all that is owed, and return what was sent since the last call."""

    def deliver() -> list[EmailMessage]:
        mail.outbox.clear()
        for notice_id in notices.unsent():
            notices.deliver(notice_id)
        return list(mail.outbox)

    return deliver


def link_in(message: EmailMessage, begins: str) -> str:
    """The path of the one link of ours in the text that begins so; the HTML has it too."""
    (path,) = set(re.findall(re.escape(settings.PANEL_URL) + f"({begins}[^\\s]*)", str(message.body)))
    assert path in str(message.alternatives[0][0])
    return path


@pytest.fixture
def target(settings: Any) -> Iterator[Target]:
    with listening() as found:
        settings.WEBHOOK_TEST_TARGETS = [found.host]
        yield found


@pytest.fixture
def webhook(acme: Customer, alice: User, target: Target) -> Webhook:
    return add_webhook(acme, target.url, ["mailboxes", "orders"], by=alice)


def happens(
    customer: Customer, action: str = "mailbox.add", subject: str = "anna@acme.test", **after: Any
) -> None:
    """What a webhook is told of."""
    with unit_of_work():
        audit.record(action, by=None, customer=customer, subject=subject, after=after or None)


def past(webhook: Webhook) -> None:
    """As if all its gaps were over."""
    webhook.deliveries.filter(ended_at=None).update(next_at=timezone.now())
    Webhook.objects.filter(pk=webhook.pk).update(rests_until=timezone.now())


def webhook_now(webhook: Webhook) -> Webhook:
    return Webhook.objects.get(pk=webhook.pk)


def later() -> Any:
    return timezone.now() + timedelta(seconds=30)
