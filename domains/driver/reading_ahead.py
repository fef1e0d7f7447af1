"""Reading ahead: what a generator yields, made by a thread with a database connection of its own."""

from collections.abc import Callable, Generator, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

from django.db import connection

T = TypeVar("T")

AHEAD = 2  # items that are ready and not yet taken: what bounds the memory
LOOKS_AGAIN_AFTER = 0.2  # seconds in which the thread notices that nobody takes any more


def read_ahead(make: Callable[[], Iterator[T]]) -> Generator[T]:
    """The items of `make()`, which runs in a thread of its own; what it raises is raised here. Close this generator to
    end the thread early.
    """
    ready: Queue[list[T] | Exception] = Queue(AHEAD)  # one item in a list; an empty one is the end
    is_over = Event()

    def put(found: list[T] | Exception) -> None:
        while not is_over.is_set():
            try:
                return ready.put(found, timeout=LOOKS_AGAIN_AFTER)
            except Full:
                continue

    def run() -> None:
        try:
            for item in make():
                put([item])
                if is_over.is_set():
                    break
            put([])
        except Exception as error:
            put(error)
        finally:
            connection.close()

    thread = Thread(target=run, name="read ahead", daemon=True)
    thread.start()
    try:
        while found := ready.get():
            if isinstance(found, Exception):
                raise found
            yield found[0]
    finally:
        is_over.set()
        thread.join()
