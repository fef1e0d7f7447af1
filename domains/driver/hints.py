"""Hints that a server has something to fetch. They may be lost without harm: the sweep finds what lags."""

import logging

from celery import current_app
from django.core.cache import caches

logger = logging.getLogger(__name__)

SYNC, SYNC_SLOW, REBUILD, COMPARE, TAKE_OVER = (
    f"domains.tasks.{name}_server" for name in ("sync", "sync_slow", "rebuild", "compare", "take_over")
)
# A hint that was noted and never sent holds the next ones up for this long: as short as the sweep where changes wait
# for it, longer in the slow queue, where it waits for its turn.
HINT_SECONDS = {SYNC: 3, SYNC_SLOW: 15, REBUILD: 5, COMPARE: 10, TAKE_OVER: 10}

HEAP_SECONDS = 60  # after which a hint that nobody took is worth nothing: workers that come back find no heap


def hint(server_id: int, task: str = SYNC) -> None:
    """Ask for a sync of this server (or another of these tasks), unless that is already asked for."""
    try:
        if _note(server_id, task):
            current_app.send_task(task, args=[server_id], expires=HEAP_SECONDS)
    except (
        Exception
    ) as error:  # whatever a broker can raise: the change is committed, and the sweep will send it
        logger.warning("No hint for mail server %s: %s", server_id, type(error).__name__)


def taken(server_id: int, task: str = SYNC) -> None:
    """A task is about to look at what there is: changes from now on need a hint of their own."""
    try:
        caches["volatile"].delete(_key(server_id, task))
    except Exception as error:  # the note ends by itself after HINT_SECONDS
        logger.debug("The note of a hint stays: %s", type(error).__name__)


def _note(server_id: int, task: str) -> bool:
    """Whether no hint is pending, which notes this one. Without the cache each change sends its own."""
    try:
        return caches["volatile"].add(_key(server_id, task), 1, timeout=HINT_SECONDS[task])
    except Exception as error:  # Redis is away; coalescing is a saving, not a need
        logger.debug("Hints are not coalesced: %s", type(error).__name__)
        return True


def _key(server_id: int, task: str) -> str:
    return f"hint:{task}:{server_id}"
