"""Time and queries of calls of the API, among 10,000 mailboxes; adding mailboxes with 4 clients beside the hashing alone.
Run by `pages` on a database of its own.
"""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.key_lookup import find_key
from accounts.keys import add_key, rights_to_give
from accounts.models import Customer, Role, User
from domains.mailbox_password import hash_password
from tests.bench import page_times
from tests.bench.changes_rate import READY_HASH
from tests.bench.figures import figure
from tests.bench.page_times import REQUESTS, timed, web_server
from tests.bench.stack import Stack

CLIENTS = 4
ADDED, AT_ONCE = 200, 40  # mailboxes of one measurement, and of one turn
PASSWORD = "correct horse battery 17"
_own = threading.local()
MAILBOXES = "/api/domains/acme.test/email-accounts"


def run(_: Stack) -> None:
    page_times.fill()
    owner = User.objects.get(memberships__customer__username="acme", memberships__role=Role.OWNER)
    customer = Customer.objects.get(username="acme")
    rights = [right.value for right in rights_to_give(Role.OWNER)]
    _, key = add_key(customer, "Benchmark", rights, [], None, by=owner)
    headers = {"Authorization": f"Bearer {key}"}
    figure("key check, p50", timed(lambda: 1 if find_key(key) else 0), "ms", n=REQUESTS, goal="<= 1 ms")
    for name, path, goal, queries_goal in (
        ("list of 10,000 e-mail accounts", MAILBOXES, "<= 120 ms", "<= 6"),
        ("one e-mail account", f"{MAILBOXES}/box-05000", "<= 10 ms", ""),
    ):
        get = _get(path, headers)
        with CaptureQueriesContext(connection) as queries:
            get()
        figure(f"API, {name}, queries", len(queries), "queries", n=1, goal=queries_goal)
        figure(
            f"API, {name}, p50",
            _timed(get, 20 if name.startswith("list") else REQUESTS),
            "ms",
            n=20,
            goal=goal,
        )
    with CaptureQueriesContext(connection) as queries:
        _post(headers, {"username": "counted", "password": PASSWORD})
    figure("API, POST of an e-mail account, queries", len(queries), "queries", n=1, goal="<= 15")
    with web_server() as base:
        _rates(
            lambda number: _send(base, headers, {"username": f"first-{number}", "password": PASSWORD}),
            times=AT_ONCE,
        )
        hashing, clear, ready = _rates(
            lambda number: hash_password(f"{PASSWORD} {number}"),
            lambda number: _send(base, headers, {"username": f"clear-{number}", "password": PASSWORD}),
            lambda number: _send(base, headers, {"username": f"ready-{number}", "password_hash": READY_HASH}),
        )
    figure(
        f"API, POST of e-mail accounts by {CLIENTS} clients against hashing alone",
        clear, "/s", n=ADDED, baseline=hashing, goal="ratio >= 0.6",
    )  # fmt: skip
    figure(f"API, POST of e-mail accounts with ready hashes by {CLIENTS} clients", ready, "/s", n=ADDED)


def _get(path: str, headers: dict[str, str]) -> Callable[[], int]:
    client = Client()

    def get() -> int:
        reply = client.get(path, headers=headers, SERVER_NAME="localhost")
        if reply.status_code != 200:
            raise RuntimeError(f"{path} was answered {reply.status_code}")
        return len(reply.content)

    return get


def _post(headers: dict[str, str], body: dict[str, Any]) -> None:
    sent = {"data": json.dumps(body), "content_type": "application/json"}
    reply = Client().post(MAILBOXES, **sent, headers=headers, SERVER_NAME="localhost")
    if reply.status_code != 201:
        raise RuntimeError(f"The POST was answered {reply.status_code}")


def _send(base: str, headers: dict[str, str], body: dict[str, Any]) -> None:
    connection = _connection(base)
    connection.request("POST", MAILBOXES, json.dumps(body), {**headers, "Content-Type": "application/json"})
    reply = connection.getresponse()
    text = reply.read()
    if reply.status != 201:
        raise RuntimeError(f"The POST was answered {reply.status}: {text.decode()}")


def _connection(base: str) -> HTTPConnection:
    """Each client keeps its own, and takes hardly any time of the CPUs that hash."""
    if not hasattr(_own, "connection"):
        _own.connection = HTTPConnection(urlsplit(base).netloc, timeout=60)
    connection: HTTPConnection = _own.connection
    return connection


def _timed(get: Callable[[], int], times: int) -> float:
    get()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        get()
        taken.append((time.perf_counter() - started) * 1000)
    return median(taken)


def _rates(*acts: Callable[[int], Any], times: int = ADDED) -> list[float]:
    """Of each act how many in a second, by CLIENTS threads: in turns, so that all meet the machine at the same speed."""
    taken = [0.0] * len(acts)
    with ThreadPoolExecutor(CLIENTS) as clients:
        for first in range(0, times, AT_ONCE):
            for place, act in enumerate(acts):
                started = time.perf_counter()
                list(clients.map(act, range(first, first + AT_ONCE)))
                taken[place] += time.perf_counter() - started
    return [times / seconds for seconds in taken]
