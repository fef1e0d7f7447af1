"""A panel whose database comes back from an older copy: the tables as they were at an earlier moment."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.apps import apps
from django.db import connection, transaction

OURS = ("accounts", "billing", "domains")
TABLES = [model._meta.db_table for name in OURS for model in apps.get_app_config(name).get_models()]

KEEPING = {
    "accounts_auditentry": "accounts_audit_append_only",
    "billing_invoice": "billing_invoice_never_deleted",
    "billing_ledgerentry": "billing_ledger_append_only",
    "billing_planversion": "billing_planversion_never_deleted",
    "billing_taxrate": "billing_tax_rate_stands",
}


def keep() -> None:
    """Remember the tables as they are now."""
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"DROP TABLE IF EXISTS kept_{table}")
            cursor.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")  # noqa: S608 names from above


def bring_back() -> None:
    """Lose everything since then, also what the database itself refuses to forget."""
    with triggers_asleep(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")  # in any order
        for table in TABLES:
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608
        for table in TABLES:
            cursor.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")  # noqa: S608


@contextmanager
def triggers_asleep() -> Iterator[None]:
    """Those that let nothing be forgotten; foreign keys are watched all the same."""
    _trigger("DISABLE")
    try:
        yield
    finally:
        _trigger("ENABLE")


def _trigger(what: str) -> None:
    with connection.cursor() as cursor:
        for table, trigger in KEEPING.items():
            cursor.execute(f"ALTER TABLE {table} {what} TRIGGER {trigger}")


def forget() -> None:
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"DROP TABLE IF EXISTS kept_{table}")
