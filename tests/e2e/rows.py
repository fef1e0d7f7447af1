"""Whether every mail server holds exactly the rows that the panel wishes: `rows STACK_JSON SECONDS`.

Runs as a process of its own with the panel's settings, because it reads the panel's real database. Compares
until all is equal or the time is over, and prints one JSON object: `seconds` it took, `rows` compared,
`differences` (at most 20 texts; none when all is equal).
"""

import json
import sys
import time
from pathlib import Path

import django

django.setup()

from django.db import connection, transaction  # noqa: E402 (settings come first)

from domains.driver.rows import contents  # noqa: E402
from domains.models import MailServer, ServerRow  # noqa: E402
from mailnode import wire  # noqa: E402
from tests.node_files import Hashes, holding  # noqa: E402

PAGE = 1_000


def main(stack: str, seconds: str) -> None:
    directories = {
        server["name"]: Path(server["dir"]) for server in json.loads(Path(stack).read_text())["servers"]
    }
    started = time.monotonic()
    while True:
        count, found = compare(directories)
        took = time.monotonic() - started
        if not found or took > float(seconds):
            break
        time.sleep(0.1)
    json.dump({"seconds": round(took, 2), "rows": count, "differences": found[:20]}, sys.stdout)


def compare(directories: dict[str, Path]) -> tuple[int, list[str]]:
    """How many rows the panel wishes, and where a mail server differs from that."""
    count, found = 0, []
    for server in MailServer.objects.order_by("name"):
        wished, is_effective = wish(server)
        held = holding(directories[server.name])
        count += len(wished)
        if not is_effective:
            found.append(f"{server.name}: not all is effective")
        for kind, key in wished.keys() | held.keys():
            if wished.get((kind, key)) != held.get((kind, key)):
                where = (
                    "missing"
                    if (kind, key) not in held
                    else "too much"
                    if (kind, key) not in wished
                    else "other"
                )
                found.append(f"{server.name}: {kind} {key} is {where}")
    return count, sorted(found)


def wish(server: MailServer) -> tuple[Hashes, bool]:
    """The hash of each row that the panel wishes of this server, and whether the panel says that all is effective."""
    wished: Hashes = {}
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        now = MailServer.objects.select_related("sync").get(pk=server.pk)
        keys = list(ServerRow.objects.filter(server=server).values_list("kind", "key"))
        for start in range(0, len(keys), PAGE):
            for row in contents(keys[start : start + PAGE]):
                if data := wire.data_of(row):
                    wished[row.kind, row.key] = wire.row_hash(row.kind, row.key, data)
    return wished, now.sync.effective == now.revision


if __name__ == "__main__":
    main(*sys.argv[1:])
