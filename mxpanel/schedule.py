"""All periodic work, in one place. Each run expires before its successor is due, so an outage leaves no heap."""

from typing import Any


def every(seconds: float, task: str) -> dict[str, Any]:
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


SCHEDULE: dict[str, dict[str, Any]] = {
    "mails that are owed": every(15, "accounts.tasks.sweep_notices"),
    "orders without their fraud check": every(10, "billing.tasks.sweep_checks"),
    "fraud reports not yet sent": every(10, "billing.tasks.sweep_reports"),
    "mail servers behind their revision": every(3, "domains.tasks.sweep_servers"),
    "digests of mail servers, nightly and on demand": every(15, "domains.tasks.sweep_digests"),
    "active customers without a mail server": every(10, "domains.tasks.sweep_placements"),
    "usage and last sign-ins": every(20, "domains.tasks.pull_usage"),
    "audit entries past their two years": every(3600, "accounts.tasks.sweep_audit"),
    "sessions past their end": every(3600, "accounts.tasks.sweep_sessions"),
    "rows of servers gone for 90 days": every(3600, "domains.tasks.sweep_tombstones"),
    "deleted mailboxes whose days are over": every(600, "domains.tasks.sweep_purges"),
}
