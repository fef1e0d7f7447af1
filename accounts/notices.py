"""Mails that the panel owes: written down with the change that causes them, sent after it, sent again until they went."""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone

from accounts.models import Notice

logger = logging.getLogger(__name__)

Builder = Callable[[str], tuple[list[str], dict[str, Any]]]


class Kind(NamedTuple):
    template: str
    build: Builder


_kinds: dict[str, Kind] = {}


def notice_kind(name: str, *, template: str) -> Callable[[Builder], Builder]:
    """Register a kind of mail. The builder gets the subject's id and returns (addresses, template context);
    no addresses means that there is nothing to send any more. `attachments` in the context are (name, content, MIME type).

    Templates: `<template>_subject.txt`, `<template>.txt`, `<template>.html`.
    """

    def decorate(builder: Builder) -> Builder:
        _kinds[name] = Kind(template, builder)
        return builder

    return decorate


def send_notice(kind: str, subject_id: object) -> Notice:
    """Owe this mail and ask for its delivery; call inside the unit of work of its cause."""
    from accounts.tasks import deliver_notice

    notice = owe_notice(kind, subject_id)
    deliver_notice.delay_on_commit(notice.pk)
    return notice


def owe_notice(kind: str, subject_id: object) -> Notice:
    """Owe this mail and leave its delivery to the caller, or to the sweep."""
    (notice,) = owe_notices(kind, [subject_id])
    return notice


def owe_notices(kind: str, subject_ids: Iterable[object], *, at: datetime | None = None) -> list[Notice]:
    """Owe such a mail about each of these, not to be sent before `at`; the sweep delivers them."""
    if kind not in _kinds:
        raise LookupError(f"No notice kind {kind!r} is registered.")
    due_at = at or timezone.now()
    owed = [Notice(kind=kind, subject_id=str(pk), next_attempt_at=due_at) for pk in subject_ids]
    return Notice.objects.bulk_create(owed)


def attempt(notice_id: int) -> None:
    """`deliver`, and where that fails, put it off."""
    try:
        deliver(notice_id)
    except Exception as error:
        # The kind of failure is enough: a mail server's reply may quote addresses or text.
        logger.warning("Notice %s was not sent: %s; it will be tried again.", notice_id, type(error).__name__)
        put_off(notice_id)


def deliver(notice_id: int) -> bool:
    """Send one owed mail; false when it was sent, claimed or is not due. Failures come again with growing gaps."""
    now = timezone.now()
    claimed = Notice.objects.filter(pk=notice_id, sent_at=None, next_attempt_at__lte=now).update(
        attempts=F("attempts") + 1, next_attempt_at=now + timedelta(minutes=1)
    )
    if not claimed:
        return False
    notice = Notice.objects.get(pk=notice_id)
    kind = _kinds[notice.kind]
    recipients, context = kind.build(notice.subject_id)
    if recipients:
        _message(notice, kind.template, recipients, context).send()
    Notice.objects.filter(pk=notice_id).update(sent_at=timezone.now())
    return True


def put_off(notice_id: int) -> None:
    """After a failure: wait 1, 2, 4 … minutes, at most an hour."""
    notice = Notice.objects.filter(pk=notice_id).first()
    if notice is not None:
        gap = timedelta(minutes=min(60, 2 ** min(notice.attempts, 6)))
        Notice.objects.filter(pk=notice_id, sent_at=None).update(next_attempt_at=timezone.now() + gap)


def unsent(limit: int = 200, **which: str) -> list[int]:
    """Owed mails that are due, of a `kind` or of all."""
    due = Notice.objects.filter(sent_at=None, next_attempt_at__lte=timezone.now(), **which)
    return list(due.order_by("next_attempt_at").values_list("pk", flat=True)[:limit])


def _message(
    notice: Notice, template: str, recipients: list[str], context: dict[str, Any]
) -> EmailMultiAlternatives:
    """One message to all, so that a recipient who is refused never makes it go to the others again; its id stays
    the same whenever it is sent, so that mail programs know a second copy.
    """
    context = {"product_name": settings.PRODUCT_NAME, "panel_url": settings.PANEL_URL, **context}
    subject = " ".join(render_to_string(f"{template}_subject.txt", context).split())
    headers = {"Message-ID": f"<notice-{notice.pk}.{notice.created_at:%Y%m%d%H%M%S}@{settings.MAIL_DOMAIN}>"}
    message = EmailMultiAlternatives(
        subject, render_to_string(f"{template}.txt", context), to=recipients, headers=headers
    )
    message.attach_alternative(render_to_string(f"{template}.html", context), "text/html")
    for attachment in context.get("attachments", ()):
        message.attach(*attachment)
    return message
