"""One of the workers of `renewal_sweep`, in a fresh process."""

import resource
from typing import Any

import django
from django.conf import settings


def work(memory: Any, base: str, key: str) -> None:
    """Say that it is ready, do what is due, and say how much memory that took, in MB."""
    django.setup()
    from billing import renewing

    settings.STRIPE_API_BASE, settings.STRIPE_SECRET_KEY = base, key
    memory.put(0.0)
    while due := renewing.due_subscriptions():
        for subscription_id in due:
            renewing.work_subscription(subscription_id)
    memory.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
