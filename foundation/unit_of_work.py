"""One change, one transaction, with statements that must come last."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import transaction


class Work:
    """The unit under way: what is to be done as its last statements, once for each key."""

    def __init__(self) -> None:
        self._last: dict[Hashable, Callable[[], None]] = {}

    def at_end(self, key: Hashable, callback: Callable[[], None]) -> None:
        """Run `callback` just before COMMIT; a second registration under the same key changes nothing.

        Locks that every writer wants (a mail server's counter) are taken here, so that they are held for
        the commit alone.
        """
        self._last.setdefault(key, callback)

    def finish(self) -> None:
        for callback in self._last.values():
            callback()


_current: ContextVar[Work | None] = ContextVar("unit_of_work", default=None)


@contextmanager
def unit_of_work() -> Iterator[Work]:
    """Hold everything inside in ONE transaction; inside another unit it joins that one.

    Raises RuntimeError (Django's durable check) when a plain transaction is already open, because the
    last statements would not be last then. A deadlock or serialization failure comes through as OperationalError,
    with nothing done: pages answer 503, and background work is repeated by its sweep (docs/adr/0001).
    """
    outer = _current.get()
    if outer is not None:
        yield outer
        return
    work = Work()
    with transaction.atomic(durable=True):
        token = _current.set(work)
        try:
            yield work
            work.finish()
        finally:
            _current.reset(token)


def current_work() -> Work:
    """The unit under way; RuntimeError outside of one, which is a mistake of the caller."""
    work = _current.get()
    if work is None:
        raise RuntimeError("This change must run inside unit_of_work().")
    return work


def at_end_of_work(key: Hashable, callback: Callable[[], None]) -> None:
    """`Work.at_end` of the unit under way; in a plain transaction, which knows no end, at once."""
    work = _current.get()
    if work is None:
        callback()
    else:
        work.at_end(key, callback)
