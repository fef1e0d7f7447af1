from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore

from accounts import audit, deleting, devices, exporting, lifting, notices
from accounts.models.api_key import AT_ONCE, forget_old_replies, forget_old_requests
from accounts.models.delivery import forget_old_events
from accounts.models.invitation import forget_old_invitations
from accounts.webhooks import sending

# A hint of a sweep is worthless once the next sweep runs.
SWEEP_SECONDS = 15
LIFT_SECONDS = 60
EXPORT_SECONDS = 60
DELETION_SECONDS = 60
WEBHOOK_SECONDS = 5
HINT_SECONDS = 60  # the sweep has come by long since


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
    while audit.shorten_old_addresses() == audit.AT_ONCE:
        pass


@shared_task
def lift_factor(lift_id: str) -> None:
    lifting.carry_out(lift_id)


@shared_task
def sweep_factor_lifts() -> None:
    for lift_id in lifting.due_lifts():
        lift_factor.apply_async((lift_id,), expires=LIFT_SECONDS)


@shared_task
def sweep_invitations() -> None:
    forget_old_invitations()


@shared_task
def make_data_export(export_id: str) -> None:
    exporting.make_export(export_id)


@shared_task
def sweep_data_exports() -> None:
    exporting.forget_old_exports()
    for export_id in exporting.exports_to_make():
        make_data_export.apply_async((export_id,), expires=EXPORT_SECONDS)


@shared_task
def delete_account(deletion_id: str) -> None:
    deleting.carry_out(deletion_id)


@shared_task
def sweep_account_deletions() -> None:
    deleting.forget_deletions()
    for deletion_id in deleting.due_deletions():
        delete_account.apply_async((deletion_id,), expires=DELETION_SECONDS)


@shared_task
def sweep_api() -> None:
    """Forget calls after their 7 days and kept replies after their day."""
    while forget_old_requests() == AT_ONCE:
        pass
    while forget_old_replies() == AT_ONCE:
        pass


@shared_task(expires=HINT_SECONDS)
def call_webhook(webhook_id: str) -> None:
    if sending.call(webhook_id):
        call_webhook.delay_on_commit(webhook_id)


@shared_task
def sweep_webhooks() -> None:
    for webhook_id in sending.webhooks_owed():
        call_webhook.apply_async((str(webhook_id),), expires=WEBHOOK_SECONDS)


@shared_task
def sweep_webhook_logs() -> None:
    while forget_old_events():
        pass
