"""One of the workers of `renewal_sweep`, in a fresh process."""

import re
from pathlib import Path
from typing import Any

import django
from django.conf import settings

from foundation.collector import spare_what_is_loaded


def work(memory: Any, base: str, key: str) -> None:
    """Say that it is ready, do what is due, and say how much memory that took, in MB."""
    django.setup()
    from billing import renewing

    settings.STRIPE_API_BASE, settings.STRIPE_SECRET_KEY = base, key
    spare_what_is_loaded()  # as a worker does
    memory.put(0.0)
    while due := renewing.due_subscriptions():
        for subscription_id in due:
            renewing.work_subscription(subscription_id)
    memory.put(most_memory())


def most_memory() -> float:
    """Of this process, in MB; what getrusage says counts the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]
