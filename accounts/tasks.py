import logging

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore

from accounts import audit, notices

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 15  # a hint of a sweep is worthless once the next sweep runs


@shared_task
def deliver_notice(notice_id: int) -> None:
    try:
        notices.deliver(notice_id)
    except Exception as error:
        # The kind of failure is enough: a mail server's reply may quote addresses or text.
        logger.warning("Notice %s was not sent: %s; it will be tried again.", notice_id, type(error).__name__)
        notices.put_off(notice_id)


@shared_task
def sweep_notices() -> None:
    for notice_id in notices.unsent():
        deliver_notice.apply_async((notice_id,), expires=SWEEP_SECONDS)


@shared_task
def sweep_sessions() -> None:
    """They hold what visitors entered into the order form."""
    SessionStore.clear_expired()


@shared_task
def sweep_audit() -> None:
    audit.forget_old_entries()
