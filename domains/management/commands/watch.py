"""`manage.py watch`: the process that sees what is wrong and tells staff. Two of them do no harm."""

import logging
import signal
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections, connection

from domains.driver.alone import WATCH, alone
from domains.incident_mail import deliver_reports
from domains.watch import Watch

logger = logging.getLogger(__name__)

EVERY = 3.0  # seconds


class Command(BaseCommand):
    help = "See what is wrong, open and close incidents, and mail staff about them, until SIGTERM."
    requires_system_checks = []  # they load every page of the panel, which this process never shows

    def handle(self, *args: Any, **options: Any) -> None:
        over = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        # An SMTP server that hangs keeps up the mails alone.
        Thread(target=repeat, args=(deliver_reports, "send mail", over), daemon=True).start()
        repeat(looking(), "look", over)


def looking() -> Callable[[], None]:
    """One look, unless another process is at it; it stands by then."""
    watch = Watch()

    def look() -> None:
        with alone(WATCH, 0) as mine:
            if mine:
                watch.look()

    return look


def repeat(work: Callable[[], None], what: str, over: Event) -> None:
    """Every few seconds, whatever fails: a database that is away comes back."""
    failing = False
    while not over.is_set():
        try:
            close_old_connections()
            work()
            if failing:
                logger.warning("The watch can %s again.", what)
            failing = False
        except Exception as error:
            connection.close()
            if not failing:
                logger.error("The watch cannot %s: %s", what, type(error).__name__)
            failing = True
        over.wait(EVERY)
