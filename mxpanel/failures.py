"""The page for what no view caught: whose fault it was, and what to do now."""

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error

RETRY_AFTER = 5  # seconds


def failed(request: HttpRequest) -> HttpResponse:
    """503 where the database is away, has no connection left, or took the change back (a deadlock): the same again
    will do. 500 for everything else. Reads nothing from the database, and needs no session.
    """
    if not isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return server_error(request)
    return HttpResponse(render_to_string("503.html"), status=503, headers={"Retry-After": str(RETRY_AFTER)})
