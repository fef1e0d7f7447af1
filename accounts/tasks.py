from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore

from accounts import audit, devices, notices

SWEEP_SECONDS = 15  # a hint of a sweep is worthless once the next sweep runs


@shared_task
def deliver_notice(notice_id: int) -> None:
    notices.attempt(notice_id)


@shared_task
def sweep_notices() -> None:
    for notice_id in notices.unsent():
        deliver_notice.apply_async((notice_id,), expires=SWEEP_SECONDS)


@shared_task
def sweep_sessions() -> None:
    """They hold what visitors entered into the order form."""
    SessionStore.clear_expired()
    devices.forget_ended()


@shared_task
def sweep_audit() -> None:
    audit.forget_old_entries()
