"""All periodic work, in one place. Each run expires before its successor is due, so an outage leaves no heap."""

from typing import Any


def every(seconds: float, task: str) -> dict[str, Any]:
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


def canary(queue: str, seconds: float) -> dict[str, Any]:
    """Waits its turn in its queue for a few periods: a queue that is busy for a moment is not a silent one."""
    options = {"queue": queue, "expires": 4 * seconds}
    return {"task": "domains.tasks.canary", "args": [queue], "schedule": seconds, "options": options}


# Queue -> seconds between the canaries that prove that it works (domains.alarms, WORKER).
CANARIES = {"panel": 5.0, "servers": 5.0, "slow": 15.0, "dns": 15.0, "bulk": 15.0, "webhooks": 15.0}


SCHEDULE: dict[str, dict[str, Any]] = {
    "mails that are owed": every(15, "accounts.tasks.sweep_notices"),
    "orders without their fraud check": every(10, "billing.tasks.sweep_checks"),
    "fraud reports not yet sent, or not yet deleted": every(10, "billing.tasks.sweep_reports"),
    "codes of fraud reports after a year, keyed hashes after a day": every(
        3600, "billing.tasks.sweep_fraud_records"
    ),
    "orders begun and not sent for 30 days": every(3600, "billing.tasks.sweep_drafts"),
    "who was at which order, a day ago": every(3600, "billing.tasks.sweep_presences"),
    "pages, refunds, cards and events at Stripe that nobody has looked at": every(
        10, "billing.tasks.sweep_card_payments"
    ),
    "subscriptions to be renewed, charged or reminded": every(10, "billing.tasks.sweep_subscriptions"),
    "orders to be paid that have no invoice, names in invoices past their years": every(
        3600, "billing.tasks.sweep_invoices"
    ),
    "cards that expire, were removed 90 days ago, or are of customers that ended": every(
        3600, "billing.tasks.sweep_cards"
    ),
    "events of Stripe past their 90 days": every(3600, "billing.tasks.sweep_stripe_events"),
    "VAT ids that VIES has not answered about": every(10, "billing.tasks.sweep_vat_ids"),
    "billing details past the legal years": every(3600, "billing.tasks.sweep_billing_details"),
    "mail servers behind their revision": every(3, "domains.tasks.sweep_servers"),
    "digests of mail servers, nightly and on demand": every(15, "domains.tasks.sweep_digests"),
    "comparisons and takeovers after lost history": every(10, "domains.tasks.sweep_histories"),
    "DNS of domains, by the minute while something is wrong, else daily": every(
        15, "domains.tasks.sweep_dns"
    ),
    "active customers without a mail server": every(10, "domains.tasks.sweep_placements"),
    "changes of many mailboxes that nobody works on": every(10, "domains.tasks.sweep_bulk_changes"),
    "whom postmaster@ and abuse@ of customers lead to": every(15, "domains.tasks.sweep_role_addresses"),
    "status, usage and last sign-ins": every(10, "domains.tasks.pull_usage"),
    "lost second factors whose day is over": every(60, "accounts.tasks.sweep_factor_lifts"),
    "copies of people's data that are to be made, or are over": every(
        60, "accounts.tasks.sweep_data_exports"
    ),
    "accounts that are to be deleted": every(60, "accounts.tasks.sweep_account_deletions"),
    "mailboxes that are imported": every(5, "domains.tasks.sweep_imports"),
    "audit entries past their two years, addresses past their 90 days": every(
        3600, "accounts.tasks.sweep_audit"
    ),
    "calls of the API past their 7 days, replies past their day": every(600, "accounts.tasks.sweep_api"),
    "webhooks that are owed something": every(5, "accounts.tasks.sweep_webhooks"),
    "events of webhooks past their 30 days": every(3600, "accounts.tasks.sweep_webhook_logs"),
    "invitations over for 90 days": every(3600, "accounts.tasks.sweep_invitations"),
    "sessions past their end": every(3600, "accounts.tasks.sweep_sessions"),
    "rows gone for 90 days, incidents over for a year": every(3600, "domains.tasks.sweep_tombstones"),
    "deleted mailboxes whose days are over": every(600, "domains.tasks.sweep_purges"),
    **{f"canary of the queue {queue}": canary(queue, seconds) for queue, seconds in CANARIES.items()},
}
