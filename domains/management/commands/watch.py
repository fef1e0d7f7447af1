"""`manage.py watch`: the process that sees what is wrong and tells staff. A second one stands by."""

import logging
import signal
from collections.abc import Callable, Iterator
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
        Thread(target=repeat, args=(mails, "send mail", over), daemon=True).start()
        repeat(looks, "look", over)


def looks() -> Iterator[None]:
    """One look after the other for as long as the lock of all watches is ours; none while another has it. What is
    remembered between looks begins anew with the lock.
    """
    watch = Watch()
    with alone(WATCH, 0) as mine:
        while mine:
            watch.look()
            yield


def mails() -> Iterator[None]:
    while True:
        close_old_connections()
        deliver_reports()
        yield


def repeat(rounds: Callable[[], Iterator[None]], what: str, over: Event) -> None:
    """A round every few seconds; where one fails, or there are none, they begin again: a database that is away comes
    back.
    """
    failing = False
    while not over.is_set():
        try:
            for _ in rounds():
                if failing:
                    logger.warning("The watch can %s again.", what)
                failing = False
                if over.wait(EVERY):
                    return
        except Exception as error:
            connection.close()
            if not failing:
                logger.error("The watch cannot %s: %s", what, type(error).__name__)
            failing = True
        over.wait(EVERY)
