"""The Celery app. A task is a hint: it may be lost, doubled or late, and a sweep makes good for it."""

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, Task
from celery.signals import (
    task_failure,
    task_postrun,
    task_prerun,
    task_success,
    worker_process_init,
    worker_ready,
)
from django.db import close_old_connections, transaction
from kombu.exceptions import OperationalError

from foundation.collector import spare_what_is_loaded
from mxpanel.schedule import SCHEDULE

logger = logging.getLogger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mxpanel.settings")


class HintTask(Task):
    """A task whose hint after a commit may get lost: what was committed stands, whatever the broker does."""

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:
        transaction.on_commit(lambda: self._hint(args, kwargs))

    def _hint(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            self.apply_async(args, kwargs)
        except (OperationalError, OSError):
            logger.warning("The broker is away; %s waits for its sweep.", self.name)


app = Celery("mxpanel", task_cls=HintTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect
@task_postrun.connect
def tidy_connections(**_: Any) -> None:
    """Keep database connections between tasks as Django does between requests; Celery itself would close them
    after each, and a new one costs more than most tasks.
    """
    close_old_connections()


@worker_ready.connect
@worker_process_init.connect
def spare_what_workers_load(**_: Any) -> None:
    spare_what_is_loaded()


PERIODIC = frozenset(entry["task"] for name, entry in SCHEDULE.items() if not name.startswith("canary"))
NOTED_EVERY = 10.0  # seconds; a sweep that runs every 3 need not write a row each time
_noted: dict[str, float] = {}


@task_success.connect
def note_success(sender: Any, **_: Any) -> None:
    """Periodic work ended well: the alarm about failing sweeps looks for it."""
    from domains.models import note_end

    now = time.monotonic()
    if sender.name in PERIODIC and now - _noted.get(sender.name, float("-inf")) >= NOTED_EVERY:
        _noted[sender.name] = now
        _note(lambda: note_end(f"task {sender.name}"))


@task_failure.connect
def note_failed(sender: Any, exception: BaseException, **_: Any) -> None:
    from domains.models import note_failure

    if sender.name in PERIODIC:
        _noted.pop(sender.name, None)  # the next good end is news
        _note(lambda: note_failure(f"task {sender.name}", exception))


def _note(write: Callable[[], None]) -> None:
    """What cannot be noted shows all the same: the task's last good end grows old."""
    try:
        write()
    except Exception as error:
        logger.warning("The end of a task is not noted: %s", type(error).__name__)
