"""Gives a benchmark a database of its own beside the stack's, and takes it away again."""

import os
import subprocess
import sys
from urllib.parse import urlsplit

import psycopg

from tests.bench.stack import Stack

DATABASE = "mxpanel_bench"


def run_apart(stack: Stack, benchmark: str) -> None:
    """Run `benchmark` in a process whose settings name an empty database; the stack's workers know nothing of it."""
    url = stack.facts["database"]
    with psycopg.connect(url, autocommit=True) as connection:
        _drop(connection)
        connection.execute(f"CREATE DATABASE {DATABASE}")
    try:
        settings = {
            "DATABASE_URL": urlsplit(url)._replace(path=f"/{DATABASE}").geturl(),
            "REDIS_URL": urlsplit(stack.facts["redis"])._replace(path="/9").geturl(),
            "CELERY_BROKER_URL": "memory://",
            "FRAUDRECORD_API_KEY": "",
            "API_READS": "1000000",  # what a call costs is measured, not how many a key may make
            "API_WRITES": "1000000",
        }
        command = [sys.executable, "-m", "tests.bench", benchmark]
        subprocess.run(command, check=True, env={**os.environ, **settings})
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            _drop(connection)


def _drop(connection: psycopg.Connection) -> None:
    """With FORCE, or where that may not end an autovacuum, without, which PostgreSQL ends by itself."""
    try:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    except psycopg.errors.InsufficientPrivilege:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
