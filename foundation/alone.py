"""Being alone at something among all processes of the panel: PostgreSQL's advisory locks of a session."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def alone(at: int, number: int) -> Iterator[bool]:
    """Whether this process now has number `number` of the class `at` (both 32 bits, signed) to itself. The lock belongs
    to the database session, so it ends with the process too; nobody waits for it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [at, number])
        mine = cursor.fetchone()[0]
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [at, number])
