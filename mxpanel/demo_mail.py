"""Mail that lies in the demo mailboxes from the start, handed in over SMTP as a stranger would."""

import smtplib
import time
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from django.conf import settings
from django.utils import timezone

from mxpanel.demo import demo_domains

PATIENCE = 60  # seconds that a mail server may take to know its mailboxes


def deliver_demo_mail() -> None:
    """Send each demo mailbox a welcome."""
    for domain in demo_domains():
        server = domain.server
        if server is None:
            continue
        for mailbox in domain.mailboxes.filter(deleted_at=None):
            _deliver(server.ports["smtp"], _welcome(mailbox.address, mailbox.name))


def _welcome(address: str, name: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = f"{settings.PRODUCT_NAME} <welcome@{settings.MAIL_DOMAIN}>"
    message["To"] = f"{name} <{address}>"
    message["Subject"] = "Welcome to your mailbox"
    message["Date"] = format_datetime(timezone.now())
    message["Message-ID"] = make_msgid(domain=settings.MAIL_DOMAIN)
    message.set_content(
        f"Hello {name},\n\nthis mailbox works: you are reading its first message.\n\n"
        f"Its settings for mail programs stand on its page at {settings.PANEL_URL}\n"
    )
    return message


def _deliver(port: int, message: EmailMessage) -> None:
    """Hand the message in; while the server does not listen or know the mailbox yet, try again."""
    give_up_at = time.monotonic() + PATIENCE
    while True:
        try:
            with smtplib.SMTP(
                "127.0.0.1", port, local_hostname=f"welcome.{settings.MAIL_DOMAIN}", timeout=30
            ) as client:
                client.send_message(message, from_addr=f"welcome@{settings.MAIL_DOMAIN}")
            return
        except (OSError, smtplib.SMTPException):
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.5)
