"""The panel's database as it was: everything of `domains` that a dump holds, put back."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.apps import apps
from django.db import connection, transaction


@contextmanager
def dump_of_the_panel() -> Iterator[None]:
    """Take a dump, let the block change what it likes, and restore the dump."""
    tables = [model._meta.db_table for model in apps.get_app_config("domains").get_models()]
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"CREATE TABLE dump_{table} AS SELECT * FROM {table}")  # noqa: S608 names of our own
    try:
        yield
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")  # in any order
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608
                cursor.execute(f"INSERT INTO {table} SELECT * FROM dump_{table}")  # noqa: S608
    finally:
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"DROP TABLE dump_{table}")
