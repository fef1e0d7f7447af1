"""/healthz and /readyz. They answer before host checks, sessions and redirects, so that a probe needs nothing."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from domains.health import server_checks
from domains.watch import what_is_wrong_with_the_watch

_asking = Lock()
_recent: tuple[float, dict[str, Any]] = (float("-inf"), {})


class HealthMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path == "/healthz":
            return HttpResponse("ok\n", content_type="text/plain")
        if request.path == "/readyz":
            found = recent_readiness()
            return JsonResponse(found, status=503 if found["status"] == "down" else 200)
        return self.get_response(request)


def recent_readiness() -> dict[str, Any]:
    """`readiness`, at most a second old: both pages that show it are public, and asking the workers takes a while."""
    global _recent
    with _asking:
        if time.monotonic() - _recent[0] > 1:
            _recent = (time.monotonic(), readiness())
        return _recent[1]


def readiness() -> dict[str, Any]:
    """`{"status": "ok" | "degraded" | "down", "checks": {name: "ok" | what is wrong}}`.

    Down: no database. Degraded: broker, workers or a mail server away: pages work, changes wait.
    """
    checks = {"database": _outcome(_database), "broker": _outcome(_broker), "workers": _outcome(_workers)}
    if checks["database"] == "ok":
        checks["watch"] = "silent" if what_is_wrong_with_the_watch() else "ok"
        checks |= {f"server {name}": state for name, state in server_checks().items()}
    healthy = all(state == "ok" for state in checks.values())
    status = "down" if checks["database"] != "ok" else "ok" if healthy else "degraded"
    return {"status": status, "checks": checks}


def _outcome(check: Callable[[], Any]) -> str:
    try:
        check()
    except Exception as error:
        return f"{type(error).__name__}"
    return "ok"


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _broker() -> None:
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=0)


def _workers() -> None:
    queues = len(settings.CANARIES)
    answers = current_app.control.ping(timeout=0.7, limit=queues)
    if len(answers) < queues:
        raise TimeoutError
