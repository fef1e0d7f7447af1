"""The mails that the panel owes, sent now."""

from django.core import mail
from django.core.mail import EmailMessage

from accounts import notices


def sent_now() -> list[EmailMessage]:
    """Deliver whatever is due; returns those messages alone."""
    before = len(mail.outbox)
    for notice in notices.unsent():
        notices.deliver(notice)
    return mail.outbox[before:]
