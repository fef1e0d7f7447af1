"""Mails of the verbs under test: delivered at once, as the sweep would."""

import re
from collections.abc import Callable

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMessage

from accounts import notices


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
