"""The Celery app. A task is a hint: it may be lost, doubled or late, and a sweep makes good for it."""

import logging
import os
from typing import Any

from celery import Celery, Task
from celery.signals import task_postrun, task_prerun
from django.db import close_old_connections, transaction
from kombu.exceptions import OperationalError

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
