"""One Django process that makes the panel's database ready: `prepare_panel DEMO_JSON ENROLMENTS_AS_JSON [COPY]`. COPY is
the name of a database that gets what migrations wrote and nothing else.
"""

import hashlib
import json
import sys
from pathlib import Path

import django
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection
from psycopg import sql


def main(demo_json: str, enrolments: str, copy: str = "") -> None:
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)
    if copy:
        copy_database(copy)
    collect_static()
    for enrolment in json.loads(enrolments):
        call_command("server_enrol", *enrolment)
    call_command("load_demo", "--credentials", demo_json)


def copy_database(name: str) -> None:
    """At the first start; nobody may use the panel's database meanwhile, this process neither."""
    ours, copy = sql.Identifier(connection.settings_dict["NAME"]), sql.Identifier(name)
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        if not cursor.rowcount:
            cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(copy, ours))


def collect_static() -> None:
    """Collect, hash and compress the static files, unless none changed: it is the longest part of a start."""
    stamp, seen = Path(settings.STATIC_ROOT) / "stamp", hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            file = Path(storage.path(path)).stat()
            seen.update(f"{path} {file.st_size} {file.st_mtime_ns}\n".encode())
    if not stamp.exists() or stamp.read_text() != seen.hexdigest():
        call_command("collectstatic", interactive=False, clear=True, verbosity=0)
        stamp.write_text(seen.hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
