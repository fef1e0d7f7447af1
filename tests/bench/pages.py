"""Gives `page_times` a database of its own beside the stack's, and takes it away again."""

import os
import subprocess
import sys
from urllib.parse import urlsplit

import psycopg

from tests.bench.stack import Stack

DATABASE = "mxpanel_bench"


def run(stack: Stack) -> None:
    url = stack.facts["database"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
    try:
        settings = {
            "DATABASE_URL": urlsplit(url)._replace(path=f"/{DATABASE}").geturl(),
            "REDIS_URL": urlsplit(stack.facts["redis"])._replace(path="/9").geturl(),
            "CELERY_BROKER_URL": "memory://",  # the stack's workers must not hear of this database
            "FRAUDRECORD_API_KEY": "",
        }
        command = [sys.executable, "-m", "tests.bench", "page_times"]
        subprocess.run(command, check=True, env={**os.environ, **settings})
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
